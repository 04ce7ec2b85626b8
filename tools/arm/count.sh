#!/bin/sh
# Instructions that an aarch64 program executes, exactly, under the emulator:
#
#   tools/arm/count.sh [-c CPU] [-s COUNT] PROGRAM [ARGUMENT...]
#
# prints the total; with -s also the COUNT symbols that execute most, with their share and their number of instructions.
# CPU is what the emulator calls the core: cortex-a53 (the default), cortex-a55, cortex-a72, cortex-a76, max.
# The program's own output goes to standard error.
#
# The packaged emulator has no plugins, but it logs every block of code when it translates it and when it enters it
# (without chaining, so that no entry is missed). Blocks times entries are the instructions. It is slow, some 20 million
# instructions a second, and knows nothing of time. Only the emulator and nm are needed.
set -eu

usage() {
  sed -n '4,8p' "$0" >&2
  exit 2
}

cpu=cortex-a53
shown=0
while getopts c:s: option; do
  case $option in
    c) cpu=$OPTARG ;;
    s) shown=$OPTARG ;;
    *) usage ;;
  esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || usage

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ "$shown" -gt 0 ]; then
  aarch64-linux-gnu-nm -C --defined-only -n "$1" >"$work/symbols"
else
  : >"$work/symbols"
fi
mkfifo "$work/log"

# Blocks are keyed by address: the log names it when the block is translated ("IN:", then an instruction a line) and, between
# slashes, when it is entered. Hexadecimal of one width sorts as text; the program starts at `start_code`.
LC_ALL=C awk -v shown="$shown" '
  function hex(text,    value, i) {
    value = 0
    for (i = 1; i <= length(text); i++) value = value * 16 + index("0123456789abcdef", substr(text, i, 1)) - 1
    return value
  }
  FILENAME ~ /symbols$/ {
    if ($2 ~ /[tTwW]/) { at[++symbols] = hex($1); name[symbols] = $0; sub(/^[^ ]* . /, "", name[symbols]) }
    next
  }
  /^Trace/ { split($0, part, "/"); entries[part[2]]++; next }
  /^IN:/ { block = ""; next }
  /^0x/ {
    if (block == "") { split(substr($1, 3), part, ":"); block = sprintf("%16s", part[1]); gsub(/ /, "0", block); size[block] = 0 }
    size[block]++
  }
  /^start_code/ && !base { base = hex(substr($2, 3)) }
  function symbol(address,    low, high, middle) {
    low = 0; high = symbols
    while (low < high) {
      middle = int((low + high + 1) / 2)
      if (at[middle] <= address) low = middle; else high = middle - 1
    }
    return low > 0 && address < at[symbols] + 65536 ? name[low] : "(libraries)"
  }
  END {
    for (block in entries) {
      if (!(block in size)) { print "count.sh: a block that was never translated" | "cat >&2"; exit 1 }
      total += entries[block] * size[block]
      if (shown > 0) sums[symbol(hex(block) - base)] += entries[block] * size[block]
    }
    printf "%d\n", total
    if (shown > 0) {
      list = "sort -k2,2nr | head -n " shown
      for (one in sums) printf "%5.1f%% %12d %s\n", 100 * sums[one] / total, sums[one], one | list
      close(list)
    }
  }' "$work/symbols" "$work/log" &
counter=$!
status=0
qemu-aarch64-static -cpu "$cpu" -L / -d nochain,exec,in_asm,page -D "$work/log" "$@" >&2 || status=$?
wait "$counter"
exit "$status"
