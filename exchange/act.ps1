# Does one thing to a database, which is named by its GUID.
if ($from -eq '') {
    $kind = 'shell'
    throw "none of the snap-ins $([string]::Join(', ', $snapins)) is registered here"
}
$id = $env:QUIESCE_DATABASE
switch ($env:QUIESCE_ACTION) {
    'mount' { Mount-Database -Identity $id -Confirm:$false }
    'dismount' { Dismount-Database -Identity $id -Confirm:$false }
    'allow' {
        $mailboxes = @(Get-MailboxDatabase -Server $server | Where-Object { "$($_.Guid)" -eq $id })
        if ($mailboxes.Count -gt 0) {
            Set-MailboxDatabase -Identity $id -AllowFileRestore $true -Confirm:$false
        } else {
            Set-PublicFolderDatabase -Identity $id -AllowFileRestore $true -Confirm:$false
        }
    }
    default { throw "unknown action $env:QUIESCE_ACTION" }
}
Tell (Record 'done' $env:QUIESCE_ACTION)
exit 0
