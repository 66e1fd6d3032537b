#!/usr/bin/env bash
# Checks that merchants compile only the standard library and
# github.com/google/uuid.
set -euo pipefail
cd "$(dirname "$0")/.."

go=${GO:-go} want_go=$1
module=github.com/plural-go/plural
failed=

fail() {
	echo "depcheck: $*" >&2
	failed=1
}

deps() { "$go" list -deps "$@"; }

got_go=$("$go" list -m -f '{{.GoVersion}}')
[[ $got_go == "$want_go" ]] || fail "go.mod asks for go $got_go, so every merchant would need it: keep $want_go"
if grep -nE '^[[:space:]]*(toolchain|tool|replace|exclude)\b' go.mod; then
	fail "these lines do not belong in this go.mod; tools go into tools/go.mod"
fi

# Lists all packages without their tests: the SDK, pluraltest, and the programs
# in examples/.
compiled=$(deps -f '{{if not .Standard}}{{.ImportPath}}{{end}}' ./...)
foreign=$(grep -vE "^($module|github\.com/google/uuid)(/|\$)" <<<"$compiled" || true)
[[ -z $foreign ]] || fail "merchants would also compile these packages:"$'\n'"$foreign"

# A merchant's program must not link libraries that only tests need.
for library in $module $module/reconcile; do
	linked=$(deps "$library")
	for package in testing net/http/httptest $module/pluraltest; do
		! grep -qx "$package" <<<"$linked" || fail "$library links $package"
	done
done

for package in $("$go" list ./internal/...); do
	below=$(deps "$package")
	! grep -qx "$module" <<<"$below" || fail "$package imports $module: an internal package must not import it"
done

[[ -z $failed ]]
echo "depcheck: merchants compile the standard library and uuid, and nothing else"
