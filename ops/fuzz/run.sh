#!/bin/bash
# Runs libFuzzer on every reader of outside bytes, one after the other, and fails on the first input that ends one.
#
#   ops/fuzz/run.sh BINARY [TARGET…]      SIGNALBOX_FUZZ_SECONDS: for each target (default: half an hour for all of them)
set -euo pipefail
binary=$1
shift
root=$(cd "$(dirname "$0")/../.." && pwd)
targets=("$@")
if [ ${#targets[@]} = 0 ]; then
  mapfile -t targets < <(ls "$root/Tests/Fuzz/corpus")
fi
seconds=${SIGNALBOX_FUZZ_SECONDS:-$((1800 / ${#targets[@]}))}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
for target in "${targets[@]}"; do
  # What is found besides crashes stays out of the repository: the seeds there are small, and written by hand.
  mkdir -p "$work/$target" "$work/found"
  log="$work/$target.log"
  if SIGNALBOX_FUZZ_TARGET=$target "$binary" -max_total_time="$seconds" -max_len=4096 -timeout=10 \
    -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$work/found/$target-" \
    "$work/$target" "$root/Tests/Fuzz/corpus/$target" >"$log" 2>&1; then
    printf '%-18s %s inputs, coverage %s\n' "$target" \
      "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" \
      "$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -1)"
  else
    failed=1
    printf '%-18s FAILED\n' "$target"
    grep -aE 'Fatal error|ERROR: |SUMMARY' "$log" | head -5
    for input in "$work/found/$target-"*; do
      [ -e "$input" ] || continue
      echo "the input, as base64 (put it into Tests/Fuzz/corpus/$target/ to keep it):"
      echo "  base64 -d <<<'$(base64 -w0 "$input")' > Tests/Fuzz/corpus/$target/$(basename "$input")"
    done
  fi
done
exit $failed
