#!/usr/bin/env bash
# The examples, run for real, and what they print held against what it has to be.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

repository=$PWD
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
examples=$repository/target/release/examples

fail() {
    echo "$*" >&2
    exit 1
}

# run NAME ARGUMENT…: its output in $folder/out; a minute is far more than it needs.
run() {
    local name=$1
    shift
    echo "+ $name" "${@:+…}"
    timeout 60 "$examples/$name" "$@" > "$folder/out" 2> "$folder/err" || {
        cat "$folder/out" "$folder/err" >&2
        fail "$name ended with status $?"
    }
    nobody_left "$name"
}

# No worker outlives its driver.
nobody_left() {
    local process program
    for process in /proc/[0-9]*; do
        program=$(readlink "$process/exe" || true)
        [[ $program != "$examples/$1" ]] || fail "$1 left process ${process#/proc/} behind"
    done
}

# expect PATTERN…: a line of the output for each.
expect() {
    local pattern
    for pattern in "$@"; do
        grep -qE -- "$pattern" "$folder/out" || {
            cat "$folder/out" "$folder/err" >&2
            fail "no line matches: $pattern"
        }
    done
}

cargo build --locked --release --examples

# checksum, over a tree of a few thousand files: empty ones, small ones, a large one, and names that
# are hard to print.
tree=$folder/tree
mkdir -p "$tree/small" "$tree/.hidden" "$tree/a/b/c/d"
head -c 12000000 /dev/urandom | split -b 4000 -a 4 -d - "$tree/small/"
head -c 40000000 /dev/urandom > "$tree/a/b/large"
: > "$tree/a/b/c/empty"
for name in 'two words' '-dash' 'back\slash' $'new\nline' $'not \xff UTF-8' 'ünïcödé' '*'; do
    echo "$name" > "$tree/a/b/c/d/$name"
    echo "$name" > "$tree/.hidden/$name"
done
ln -s small "$tree/link"
files=$(find "$tree" -type f -printf x | wc -c)
echo "a tree of $files files"
(cd "$tree" && run checksum .)
[[ $(wc -l < "$folder/out") -eq $files ]] || fail "checksum printed $(wc -l < "$folder/out") lines"
(cd "$tree" && sha256sum --check --quiet --strict "$folder/out")
# A file that has changed since is found, so the line above means something.
echo changed >> "$tree/a/b/c/empty"
if (cd "$tree" && sha256sum --check --status "$folder/out"); then
    fail 'sha256sum accepts a file that has changed'
fi

# A file that cannot be read: a message, a failure in the end, and the others all the same.
status=0
"$examples/checksum" "$tree/small/0000" "$tree/nowhere" "$tree/small/0001" \
    > "$folder/out" 2> "$folder/err" || status=$?
((status == 1)) || fail "checksum ended with status $status over a file that is not there"
[[ $(wc -l < "$folder/out") -eq 2 ]] || fail 'checksum did not go on after a file that is not there'
grep -q nowhere "$folder/err" || fail 'checksum did not name the file that is not there'

# checksum, over this repository, by the command that README.md prints.
main_job=$(bash .ci/readme.sh 'cargo run')
echo "+ $main_job"
bash -euc "$main_job" > "$folder/out"
sha256sum --check --quiet --strict "$folder/out"
files=$(wc -l < "$folder/out")
((files > 100)) || fail "checksum found only $files files in this repository"
echo "$files files of this repository agree with sha256sum"

run primes
expect '^ *112272535095293 is prime$' '^ *1099726899285419 is not prime$' '^workers: [0-9]+, '

run crash
expect '^a\.png: 5 pixels$' '^abort\.png: LOST: .*(SIGABRT|signal 6)' '^exit\.png: LOST: .*3' \
    '^recursion\.png: LOST: ' '^panic\.png: .*no room for' '^bad\.png: not a picture' '^e\.png: 5 pixels$'

run async_tokio
expect '^fibonacci\(30\) = 832040$' '^fibonacci\(42\) = 267914296$' '^1 1 2 3 5 8 13 21 34 55 $'

run as_completed
expect 'the nap of 100 ms in process [0-9]+$' 'the nap of 400 ms in process [0-9]+$' \
    '^ *1\.[0-9]+s: .*1.*5'

# What the counts have to be is found by other means.
run word_counts
words=$(cat ./*.md docs/*.md | tr -c 'A-Za-z' '\n' | tr 'A-Z' 'a-z' | grep -E '^..' | cut -c 1-2)
most=$(sort <<< "$words" | uniq -c | sort -rn | awk 'NR == 1 { print $2, $1 }')
expect "^${most% *} +${most#* }\$" "^$(wc -l <<< "$words") words in $(ls ./*.md docs/*.md | wc -l) files\$"

run image_filter "$folder/picture.png"
expect '^process [0-9]+ has filtered [0-9]+ rows$' '^960 x 640 pixels in '
rows=$(awk '/^process/ { rows += $5 } END { print rows }' "$folder/out")
((rows == 640)) || fail "image_filter has filtered $rows rows, not 640"
# The signature, and the size of the picture.
head=$(od -An -tx1 -N 24 "$folder/picture.png" | tr -d ' \n')
[[ $head == 89504e470d0a1a0a0000000d49484452000003c000000280 ]] || fail "no picture of that size: $head"

run not_thread_safe
expect '^4 processes: 0 of 100 games differ$'

# Every number comes out once; so many of them are prime.
run queue_line
expect '^a producer has put 10000 numbers$' '^ *2262 numbers with +1 prime factors$' '^20000 numbers in all$'

# Eight tasks add a thousand times each; a panic is told, and changes nothing.
run managed_counter
expect '^8000 in all$' '^the manager says: there is no task 8$'

# Two programs, one after the other.
run job_board
expect '^a prime: \[2147483647\]$' '^the hardest: \[999983, 1000003\]$' '^a worker has done [0-9]+ jobs$'
jobs=$(awk '/^a worker has done/ { jobs += $5 } END { print jobs }' "$folder/out")
((jobs == 5)) || fail "the workers of the job board have done $jobs jobs, not 5"
