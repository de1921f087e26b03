# Tells the storage groups and databases of a server.
$groups = @()
$databases = @()
$copies = @()

# A path is an object in the shell of the server and a string in a session with it.
function PathOf($value) {
    if ($value -eq $null) { '' } elseif ($value.PathName) { $value.PathName } else { "$value" }
}

function Utc($value) {
    if ($value) { ([datetime]$value).ToUniversalTime().ToString('yyyy-MM-ddTHH:mm:ssZ', [Globalization.CultureInfo]::InvariantCulture) } else { '' }
}

function DatabaseOf($d, $group) {
    Record 'group' $group 'name' $d.Name 'guid' $d.Guid 'file' (PathOf $d.EdbFilePath) 'stream' '' 'mounted' $d.Mounted 'inprogress' $d.BackupInProgress 'recovery' $d.Recovery `
        'allowrestore' $d.AllowFileRestore 'full' (Utc $d.LastFullBackup) 'log' (Utc $d.LastIncrementalBackup) 'copy' (Utc $d.LastCopyBackup)
}

# In the Active Directory: the configuration of Exchange 2000 and 2003, which have no shell.
function Search($base, $filter) {
    $searcher = New-Object System.DirectoryServices.DirectorySearcher ([ADSI]('LDAP://' + $base.Replace('/', '\/'))), $filter
    $searcher.PageSize = 500
    $searcher.FindAll()
}

function Attribute($entry, $name) {
    foreach ($value in $entry.Properties[$name]) { return $value }
    ''
}

function GuidOf($entry) { (New-Object System.Guid (, [byte[]](Attribute $entry 'objectguid'))).ToString() }

$version = ''
if ($from -ne '') {
    $exchange = Get-ExchangeServer -Identity $server
    $version = "$($exchange.AdminDisplayVersion)"
}
if ($version -match '^Version 8\.') {
    foreach ($g in @(Get-StorageGroup -Server $server)) {
        $id = "$($g.Guid)"
        $groups += Record 'id' $id 'name' $g.Name 'logs' (PathOf $g.LogFolderPath) 'system' (PathOf $g.SystemFolderPath) 'base' $g.LogFilePrefix 'circular' $g.CircularLoggingEnabled
        $held = @(Get-MailboxDatabase -StorageGroup $id -Status) + @(Get-PublicFolderDatabase -StorageGroup $id -Status)
        foreach ($d in $held) { $databases += DatabaseOf $d $id }
    }
} elseif ($version -ne '' -and $version -notmatch '^Version 6\.') {
    $held = @(Get-MailboxDatabase -Server $server -Status)
    if ($version -match '^Version 14\.') { $held += @(Get-PublicFolderDatabase -Server $server -Status) }
    foreach ($d in $held) {
        $id = "$($d.Guid)"
        $groups += Record 'id' $id 'name' $d.Name 'logs' (PathOf $d.LogFolderPath) 'system' '' 'base' $d.LogFilePrefix 'circular' $d.CircularLoggingEnabled
        $databases += DatabaseOf $d $id
        if (@($d.DatabaseCopies).Count -gt 1) {
            foreach ($c in @(Get-MailboxDatabaseCopyStatus -Identity $d.Name)) {
                $preference = ''
                foreach ($p in @($d.ActivationPreference)) { if ("$p" -like "[[]$($c.MailboxServer),*") { $preference = "$p" } }
                $copies += Record 'guid' $id 'server' $c.MailboxServer 'status' $c.Status 'preference' $preference 'copyqueue' $c.CopyQueueLength 'replayqueue' $c.ReplayQueueLength
            }
        }
    }
} else {
    $kind = 'directory'
    $from = 'directory'
    $root = [ADSI]'LDAP://RootDSE'
    $found = @(Search "$($root.configurationNamingContext)" "(&(objectClass=msExchExchangeServer)(cn=$server))")
    if ($found.Count -ne 1) { throw "the Active Directory has $($found.Count) Exchange servers named $server" }
    $version = "$(Attribute $found[0] 'serialnumber')"
    if ($version -notmatch '^Version 6\.') {
        $kind = 'shell'
        throw "$server is of $version, and none of the snap-ins $([string]::Join(', ', $snapins)) is registered here"
    }
    foreach ($g in @(Search (Attribute $found[0] 'distinguishedname') '(objectClass=msExchStorageGroup)')) {
        $id = GuidOf $g
        $groups += Record 'id' $id 'name' (Attribute $g 'cn') 'logs' (Attribute $g 'msexcheseparamlogfilepath') 'system' (Attribute $g 'msexcheseparamsystempath') `
            'base' (Attribute $g 'msexcheseparambasename') 'circular' ((Attribute $g 'msexcheseparamcircularlog') -eq 1)
        foreach ($d in @(Search (Attribute $g 'distinguishedname') '(|(objectClass=msExchPrivateMDB)(objectClass=msExchPublicMDB))')) {
            $databases += Record 'group' $id 'name' (Attribute $d 'cn') 'guid' (GuidOf $d) 'file' (Attribute $d 'msexchedbfile') 'stream' (Attribute $d 'msexchslvfile') `
                'mounted' '' 'inprogress' '' 'recovery' '' 'allowrestore' (Attribute $d 'msexchpatchmdb') 'full' '' 'log' '' 'copy' ''
        }
    }
}
Tell ('{"server":' + (Quote $server) + ',"version":' + (Quote $version) + ',"from":' + (Quote $from) + ',"groups":' + (List $groups) + ',"databases":' + (List $databases) + ',"copies":' + (List $copies) + '}')
exit 0
