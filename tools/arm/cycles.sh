#!/bin/sh
# Static estimate of the inner loop of a function of an aarch64 program, object or library:
#
#   tools/arm/cycles.sh [-l] [-n LOOP] FILE SYMBOL
#
# SYMBOL is a regular expression over demangled names. Of the innermost loops of the functions that match, the one with the
# most multiply-accumulates (MACs) is taken, then the most vector instructions, or loop LOOP. With -l the loops are listed
# instead.
# A line a core: cycles per iteration and MACs per cycle, in the first-level cache, from the scheduling models of LLVM's
# machine-code analyzer: an estimate, nothing measured. LLVM has no models of its own for three of the cores:
#   cortex-a72    the Cortex-A57's;
#   cortex-a76    the Neoverse N1's (the same core; its model takes `mul` and `mla` of whole vectors for faster than they are);
#   cortex-a78ae  the Neoverse N2's, its successor.
# The models of the in-order cores (A53, A55) write back in order and hardly pair instructions: an upper bound of cycles for
# loops that mix loads and arithmetic.
set -eu

usage() {
  sed -n '4p' "$0" >&2
  exit 2
}

listed=0
wanted=0
while getopts ln: option; do
  case $option in
    l) listed=1 ;;
    n) wanted=$OPTARG ;;
    *) usage ;;
  esac
done
shift $((OPTIND - 1))
[ $# = 2 ] || usage

# The same version everywhere: models change between versions.
version=${LLVM_VERSION:-22}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"llvm-objdump-$version" -d -C --no-show-raw-insn "$1" |
  awk -v symbol="$2" '
    /^[0-9a-f]+ <.*>:$/ { name = $0; sub(/^[0-9a-f]+ </, "", name); sub(/>:$/, "", name); found = name ~ symbol
                          if (found) print name; next }
    found && /^ *[0-9a-f]+:/ { print }' >"$work/body"
[ -s "$work/body" ] || { echo "cycles.sh: no function matches $2" >&2; exit 1; }

# A loop is a branch backwards and what lies between; innermost is one that holds no other. Of a multiply-accumulate the lanes
# of the result count, times the products that meet in one.
awk -v listed="$listed" -v wanted="$wanted" -v out="$work/loop.s" '
  !/^ *[0-9a-f]+:/ { name = $0; next }
  {
    sub(/^ */, ""); address = $1; sub(/:$/, "", address)
    line = $0; sub(/^[^ \t]*[ \t]*/, "", line); sub(/[ \t]*\/\/.*/, "", line); gsub(/[ \t]+/, " ", line)
    count++; index_of[address] = count; macs[count] = products(line); holder[count] = name
    if (line ~ /^(b|b\.[a-z]+|cbn?z|tbn?z) /) {
      target = line; sub(/ <.*/, "", target); sub(/.*0x/, "", target)
      to[count] = target; sub(/0x[0-9a-f]+ *<.*/, ".Lloop", line)
    }
    sub(/ <.*>$/, "", line)
    text[count] = line
  }
  function products(line,    operation, lanes) {
    operation = line; sub(/ .*/, "", operation)
    if (operation !~ /^([su]|us|su)?(dot|mmla)$|^[su]?(mul|mla|mls)$|^[su](mull|mlal|mlsl)2?$/) return 0
    if (!match(line, /v[0-9]+\.[0-9]+[bhsd]/)) return 0
    lanes = substr(line, RSTART, RLENGTH); sub(/^v[0-9]+\./, "", lanes); lanes += 0
    return lanes * (operation ~ /dot/ ? 4 : operation ~ /mmla/ ? 8 : 1)
  }
  END {
    for (i = 1; i <= count; i++) {
      if (!(i in to) || !(to[i] in index_of) || index_of[to[i]] > i) continue
      first = index_of[to[i]]; inner = 1
      for (l = 1; l <= loops; l++) if (from[l] >= first) inner = 0
      if (!inner) continue
      loops++; from[loops] = first; until[loops] = i; work[loops] = vectors[loops] = 0
      for (j = first; j <= i; j++) { work[loops] += macs[j]; vectors[loops] += text[j] ~ /v[0-9]+\.[0-9]/ }
      if (listed) print "loop " loops " of " holder[i] ": " i - first + 1 " instructions, " work[loops] " MACs"
      if (!wanted && (!best || work[loops] > work[best] || work[loops] == work[best] && vectors[loops] > vectors[best])) best = loops
    }
    if (wanted) best = wanted
    if (listed) exit
    if (!(best in from)) { print "cycles.sh: no such loop" | "cat >&2"; exit 1 }
    print holder[from[best]]
    print until[best] - from[best] + 1 " instructions, " work[best] " MACs"
    print "// " work[best] "\n.Lloop:" >out
    for (j = from[best]; j <= until[best]; j++) if (!(j in to) || j == until[best]) print text[j] >out
  }' "$work/body"
[ "$listed" = 0 ] || exit 0

macs=$(sed -n '1s,// ,,p' "$work/loop.s")
for pair in cortex-a53:cortex-a53 cortex-a55:cortex-a55 cortex-a72:cortex-a57 cortex-a76:neoverse-n1 cortex-a78ae:neoverse-n2; do
  core=${pair%:*}
  case $core in cortex-a53 | cortex-a72)
    if grep -qE '^(s|u|us|su)(dot|mmla)' "$work/loop.s"; then
      printf '%-13s lacks the instructions\n' "$core"
      continue
    fi ;;
  esac
  "llvm-mca-$version" -mtriple=aarch64 -mcpu="${pair#*:}" -mattr=+dotprod,+i8mm -iterations=500 "$work/loop.s" 2>"$work/errors" |
    awk -v core="$core" -v macs="$macs" '/^Total Cycles:/ { cycles = $3 / 500; found = 1 }
      END { if (!found) exit 1; printf "%-13s %8.2f cycles %7.2f MACs/cycle\n", core, cycles, macs / cycles }' ||
    { cat "$work/errors" >&2; exit 1; }
done
