# fish completion of dnstap-bridge: the program itself knows what can stand where.
function __dnstap_bridge_complete
    set -l words (commandline -opc)
    set -l found ($words[1] --complete "$words[-1]" (commandline -ct | string collect --allow-empty) 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c dnstap-bridge -f -a '(__dnstap_bridge_complete)'
