# bash completion of dnstap-bridge: the program itself knows what can stand where.
_dnstap_bridge() {
    local line=${COMP_LINE:0:COMP_POINT} current="" before="" words found
    read -ra words <<<"$line"
    if [[ $line == *[[:space:]] ]]; then
        before=${words[-1]}
    else
        current=${words[-1]}
        ((${#words[@]} < 2)) || before=${words[-2]}
    fi
    mapfile -t found < <("${words[0]}" --complete "$before" "$current" 2>/dev/null)
    # bash completes what stands behind the last of its word breaks
    local head=${current%"${current##*[:=]}"}
    COMPREPLY=("${found[@]#"$head"}")
    [[ ${#found[@]} -ne 1 || ${found[0]} != *[:=/] ]] || compopt -o nospace
    ((${#found[@]} > 0)) || compopt -o default
}
complete -F _dnstap_bridge dnstap-bridge
