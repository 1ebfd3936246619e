#!/bin/bash
# run_in_vm.sh - runs system tests on cgroup v2, in one boot of the virtual machine.
#
#   run_in_vm.sh [-b PLIMSOLL] [-s STATIC_PLIMSOLL] [-l LOADS_DIR] [-t SEC] [-k WORD] TEST.py...
#
# Prints one TAP stream as the tests run; the plan comes last. A file that ends before its own
# plan is done counts as one more failure. Exit code 1 when a test failed, 125 without a machine.
set -u
here=$(dirname -- "$(readlink -f -- "$0")")
top=$here/../..
binary=$top/build/plimsoll static='' loads='' seconds=900 word=''
while getopts b:s:l:t:k: option; do
    case $option in
    b) binary=$OPTARG ;;
    s) static=$OPTARG ;;
    l) loads=$OPTARG ;;
    t) seconds=$OPTARG ;;
    k) word=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
[ $# -ge 1 ] || { echo "usage: run_in_vm.sh [-b PLIMSOLL] [-l LOADS_DIR] TEST.py..." >&2; exit 2; }
: "${loads:=$(dirname -- "$binary")/tests/loads}"

folder=$(mktemp -d "${TMPDIR:-/tmp}/plimsoll-in-vm.XXXXXX") || exit 125
trap 'rm -rf "$folder"' EXIT
cp "$binary" "$folder/plimsoll" && cp "$loads/load" "$loads/demo" "$folder/" || exit 125
[ ! -e "$loads/wardentool" ] || cp "$loads/wardentool" "$folder/wardentool" || exit 125
[ ! -e "$loads/godemo" ] || cp "$loads/godemo" "$folder/godemo" || exit 125
mkdir "$folder/rt"
for load in holder gofill; do
    [ ! -e "$loads/rt/$load" ] || cp "$loads/rt/$load" "$folder/rt/" || exit 125
done
for part in front remote; do
    [ ! -e "$binary-$part" ] || cp "$binary-$part" "$folder/plimsoll-$part" || exit 125
done
for part in include/libplimsoll.so.0 include/libplimsoll-preload.so examples/selfcap \
    tests/loads/libprobe tests/loads/oddmalloc; do
    [ ! -e "$(dirname -- "$binary")/$part" ] || cp "$(dirname -- "$binary")/$part" "$folder/" || exit 125
done
[ ! -e "$static" ] || cp "$static" "$folder/plimsoll-static" || exit 125
cp "$here"/../system/*.py "$folder/"
cp "$top/tools/demo" "$folder/demo-script"
files=()
for file in "$@"; do files+=("$(basename -- "$file")"); done

# The guest copies what it starts often into its own memory: a page read over 9p is slow.
cat >"$folder/guest.sh" <<'GUEST'
word=$1
shift
mkdir -p /run/t && cp -pr ./* /run/t/ && cd /run/t || exit 126
export PLIMSOLL_TEST_SMALL=1 PLIMSOLL_TEST_DIR=/scratch PYTHONDONTWRITEBYTECODE=1
for file in "$@"; do
    echo "# file $file"
    began=$SECONDS
    /usr/bin/python3 "$file" --binary ./plimsoll --static ./plimsoll-static --loads . \
        ${word:+"-k$word"} 2>&1 || echo "# $file: exit code $?"
    echo "# $file took $((SECONDS - began)) s"
done
echo "# end of files"
GUEST

# shellcheck disable=SC2016 # awk's own $
# One stream out of many: tests numbered through, plans added up and checked.
merge='
function settle() {
    if (planned != seen) printf "not ok %d - %s ran to its end\n", ++n, file
    planned = seen = 0
}
/^# file / { settle(); file = $3 }
/^TAP version/ { next }
/^1\.\.[0-9]+$/ { planned += substr($0, 4); next }
/^(not )?ok [0-9]+ - / { seen++; sub(/ok [0-9]+ - /, "ok " ++n " - " file ": ") }
/^# end of files/ { whole = 1; next }
{ print; fflush() }
END {
    settle()
    if (!whole) printf "not ok %d - the virtual machine ran all files\n", ++n
    print "1.." n
}'

echo "TAP version 13"
"$here/vm.sh" -v -m 1024 -d 2048 -t "$seconds" "$folder" env PLIMSOLL_TEST_FULL="${PLIMSOLL_TEST_FULL:-}" \
    bash guest.sh "$word" "${files[@]}" \
    2> >(sed 's/^/# /' >&2) | awk "$merge" | tee "$folder/out"
status=${PIPESTATUS[0]}
[ "$status" = 0 ] || exit "$status"
if grep -q '^not ok' "$folder/out"; then exit 1; fi
exit 0
