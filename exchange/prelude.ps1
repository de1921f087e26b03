# What both scripts begin with. Everything here runs with PowerShell 1.0, which Exchange 2007 came with, so JSON is made by hand: ConvertTo-Json came later.
# Arguments come in variables of the environment, never in the text of a script.
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$WarningPreference = 'SilentlyContinue'
$kind = ''

# Only ASCII is printed, whatever the code page of the console.
function Quote($value) {
    $text = New-Object System.Text.StringBuilder
    foreach ($c in "$value".ToCharArray()) {
        $n = [int]$c
        if ($n -lt 32 -or $n -gt 126 -or $n -eq 34 -or $n -eq 92) { [void]$text.Append('\u' + $n.ToString('x4')) } else { [void]$text.Append($c) }
    }
    '"' + $text.ToString() + '"'
}

# Record takes names and values in turn. All values are strings.
function Record {
    $fields = @()
    for ($i = 0; $i -lt $args.Count; $i += 2) { $fields += (Quote $args[$i]) + ':' + (Quote $args[$i + 1]) }
    '{' + [string]::Join(',', [string[]]$fields) + '}'
}

function List($records) { '[' + [string]::Join(',', [string[]]@($records)) + ']' }

function Tell($json) {
    [Console]::Out.WriteLine()
    [Console]::Out.WriteLine('-----BEGIN QUIESCE-----')
    [Console]::Out.WriteLine($json)
    [Console]::Out.WriteLine('-----END QUIESCE-----')
}

trap {
    Tell (Record 'error' $_.Exception.Message 'id' $_.FullyQualifiedErrorId 'kind' $kind)
    exit 1
}

$server = $env:QUIESCE_SERVER
$snapins = 'Microsoft.Exchange.Management.PowerShell.SnapIn', 'Microsoft.Exchange.Management.PowerShell.E2010', 'Microsoft.Exchange.Management.PowerShell.Admin'
$from = ''
if ($env:QUIESCE_URI) {
    $kind = 'session'
    $from = $env:QUIESCE_URI
    $session = New-PSSession -ConfigurationName Microsoft.Exchange -ConnectionUri $env:QUIESCE_URI -Authentication Kerberos
    [void](Import-PSSession $session -AllowClobber)
} else {
    $registered = @(Get-PSSnapin -Registered | ForEach-Object { $_.Name })
    foreach ($name in $snapins) {
        if ($from -eq '' -and $registered -contains $name) {
            $kind = 'snapin'
            Add-PSSnapin $name
            $from = $name
        }
    }
}
$kind = 'exchange'
