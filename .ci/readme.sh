#!/usr/bin/env bash
# Prints the one command of README.md's shell blocks that begins with the words given:
#
#     bash .ci/readme.sh 'cargo test'

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

commands=$(awk '
    /^```/ { in_shell = !in_block && /^```(sh|bash|shell|console)$/; in_block = !in_block; next }
    in_shell { sub(/^[$] /, ""); sub(/ +#.*/, ""); print }
' README.md | grep -E "^$1( |\$)" | sort -u || true)
if [[ -z $commands || $(wc -l <<< "$commands") -ne 1 ]]; then
    echo "README.md should have one command that begins with '$1', and has:" >&2
    echo "${commands:-(none)}" >&2
    exit 1
fi
echo "$commands"
