#!/usr/bin/env bash
# Does what a merchant does: it requires the package, vendors it, and builds and
# tests a program with each given Go version. The program is a copy of
# testdata/consumer outside of the repository. Its go.mod is empty at the
# beginning, so every line that it has at the end came with the package.
set -euo pipefail
cd "$(dirname "$0")/.."

go=${GO:-go} root=$PWD oldest=$1
module=github.com/plural-go/plural
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
	echo "consumer: $*" >&2
	exit 1
}

for version in "$@"; do # fetches the version, before the network is turned off below
	GOTOOLCHAIN=go$version "$go" version
done

cp testdata/consumer/*.go "$work"
cd "$work"
export GOFLAGS=-mod=mod GOTOOLCHAIN=go$oldest
"$go" mod init example.com/merchant 2>/dev/null
"$go" mod edit -go="$oldest" -require=$module@v0.0.0 -replace=$module="$root"
"$go" mod tidy
"$go" mod vendor
cat go.mod

[[ $("$go" list -m -f '{{.GoVersion}}') == "$oldest" ]] || fail "the package raised the merchant's go line"
! grep -E '^(toolchain|tool)\b' go.mod || fail "the package brought this line"
required=$("$go" mod edit -json | sed -n '/"Require"/,/\]/s/.*"Path": "\(.*\)".*/\1/p' | sort | xargs)
[[ $required == "github.com/google/uuid $module" ]] || fail "go.mod requires $required"

packages=$(grep -v '^#' vendor/modules.txt)
printf 'vendored:\n%s\n' "$packages"
foreign=$(grep -vE "^(github\.com/google/uuid|$module(/pluraltest|/internal)?(/.*)?)\$" <<<"$packages" || true)
[[ -z $foreign ]] || fail "vendor/ also holds $foreign"
directories=$(find vendor -mindepth 3 -maxdepth 3 | sort | xargs)
[[ $directories == "vendor/github.com/google/uuid vendor/$module" ]] || fail "vendor/ holds $directories"

export GOFLAGS=-mod=vendor GOPROXY=off
for version in "$@"; do
	export GOTOOLCHAIN=go$version
	echo "with go$version:"
	"$go" build -o merchant .
	linked=$("$go" list -deps .)
	! grep -xE 'testing|net/http/httptest|.*/pluraltest' <<<"$linked" || fail "the merchant's program links this"
	"$go" vet ./...
	"$go" test -count=1 ./...
done
