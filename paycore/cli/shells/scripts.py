"""
What a shell runs to complete a command: it asks `paycore __complete SHELL WORD...` and offers the answer.

The words are those after `paycore` up to the one under the cursor. The first line of the answer says what the others
are: `words`, each with a tab and what it means, or none, where the shell completes `files` or `folders` itself.
"""

from __future__ import annotations

BASH = r"""# Completion of paycore for bash: source this file.
_paycore() {
    local IFS=$'\n' lines
    lines=($("$1" __complete bash "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)) || return
    local current=${COMP_WORDS[COMP_CWORD]}
    [[ $current == "=" ]] && current=
    case ${lines[0]} in
        files)
            compopt -o filenames 2>/dev/null
            COMPREPLY=($(compgen -f -- "$current"))
            ;;
        folders)
            compopt -o filenames 2>/dev/null
            COMPREPLY=($(compgen -d -- "$current"))
            ;;
        *) COMPREPLY=("${lines[@]:1}") ;;
    esac
}
complete -F _paycore paycore
"""

ZSH = r"""#compdef paycore
# Completion of paycore for zsh: source this file after compinit, or save it as _paycore in a folder of $fpath.
_paycore() {
    local -a lines found
    local line
    lines=("${(@f)$("${words[1]}" __complete zsh "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    [[ $PREFIX == --*=* ]] && compset -P '*='
    case ${lines[1]} in
        files) _files ;;
        folders) _files -/ ;;
        words)
            for line in "${(@)lines[2,-1]}"; do
                found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
            done
            _describe -V paycore found
            ;;
    esac
}
if [[ ${funcstack[1]} == _paycore ]]; then
    _paycore "$@"
else
    compdef _paycore paycore
fi
"""

FISH = r"""# Completion of paycore for fish: source this file, or save it as ~/.config/fish/completions/paycore.fish.
function __paycore_complete
    set -l typed (commandline -opc)
    set -l current (commandline -ct)
    set -l lines ($typed[1] __complete fish $typed[2..-1] "$current" 2>/dev/null)
    switch "$lines[1]"
        case files
            __fish_complete_path "$current"
        case folders
            __fish_complete_directories "$current"
        case words
            printf '%s\n' $lines[2..-1]
    end
end
complete --command paycore --no-files --keep-order --arguments '(__paycore_complete)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
