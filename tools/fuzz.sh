#!/usr/bin/env bash
# Fuzzes every target of the given modules, one after the other: tools/fuzz.sh 10s . contrib/...
set -euo pipefail
cd "$(dirname "$0")/.."

go=${GO:-go} time=$1
shift
log=$(mktemp)
trap 'rm -f "$log"' EXIT
ran=0

fuzz() { # package target
	"$go" test -run '^$' -fuzz "^$2\$" -fuzztime "$time" "$1" 2>&1 | tee "$log"
}

for module in "$@"; do
	pushd "$module" >/dev/null
	# The listing has one line for each target of a package, and then a line
	# with "ok" and the package.
	listing=$("$go" test -list '^Fuzz' ./...)
	targets=()
	while read -r word package _; do
		case $word in
		Fuzz*) targets+=("$word") ;;
		ok)
			for target in ${targets[@]+"${targets[@]}"}; do
				echo "== $package $target"
				# The fuzzer sometimes reports its own deadline as a failure. A
				# real failure always comes with an input.
				if ! fuzz "$package" "$target"; then
					grep -q 'context deadline exceeded' "$log" || exit 1
					! grep -q 'Failing input written to' "$log" || exit 1
					echo "== $package $target: the fuzzer reported its own deadline; trying again"
					fuzz "$package" "$target"
				fi
				ran=$((ran + 1))
			done
			targets=()
			;;
		esac
	done <<<"$listing"
	popd >/dev/null
done
echo "$ran fuzz targets, $time each"
