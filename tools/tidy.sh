#!/usr/bin/env bash
# Tidies one module: tools/tidy.sh DIR. With -diff it only shows the changes:
# tools/tidy.sh DIR -diff. go mod tidy ignores go.work. So if a module has a
# go.work instead of replace lines, this script tidies a copy of its go.mod with
# replace lines.
set -euo pipefail
cd "$(dirname "$0")/../$1"
shift

export GOWORK=off GOTOOLCHAIN=auto
go=${GO:-go}
[[ -f go.work ]] || exec "$go" mod tidy "$@"

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp go.mod go.sum "$copy"
while read -r _ module _ directory; do
	"$go" mod edit -replace="$module=$(cd "$directory" && pwd)" "$copy/go.mod"
done < <(grep ^replace go.work)
"$go" mod tidy -modfile="$copy/go.mod" "$@"
[[ ${1-} != -diff ]] || exit 0
while read -r _ module _; do "$go" mod edit -dropreplace="$module" "$copy/go.mod"; done < <(grep ^replace go.work)
cp "$copy/go.mod" "$copy/go.sum" .
