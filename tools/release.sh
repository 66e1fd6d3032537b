#!/usr/bin/env bash
# Publishes the given modules as "Releasing" in CONTRIBUTING.md says:
# tools/release.sh . contrib/redisstore cmd/plural ... The tags are in a
# repository on disk, from which the go command makes a file:// proxy. Then a
# stranger's shop (testdata/release) gets the libraries from this proxy, with an
# empty module cache and without any replace line. The script tidies, vendors,
# builds and tests the shop. It installs the programs (cmd/) with go install,
# and runs them.
set -euo pipefail
cd "$(dirname "$0")/.."

go=${GO:-go}
module=github.com/plural-go/plural
version=v$(sed -n 's/^const version = "\(.*\)"$/\1/p' headers.go)
proxy=$("$go" env GOPROXY) cache=$("$go" env GOMODCACHE)
work=$(mktemp -d)
sandbox=
trap '[[ -z $sandbox ]] || kill "$sandbox"; rm -rf "$work"' EXIT

fail() {
	echo "release: $*" >&2
	exit 1
}

quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2 && fail "$*"; }; }

# Copies the files as they are now, committed or not, except the files that git
# ignores.
mkdir "$work/repo"
git -c safe.directory="$PWD" ls-files -z --cached --others --exclude-standard --deduplicate |
	while IFS= read -r -d '' file; do [[ ! -f $file ]] || printf '%s\0' "$file"; done |
	tar --null -cf - -T - | tar -xf - -C "$work/repo"
cp testdata/release/*.go "$work" # the files that a stranger writes

export GOTOOLCHAIN=auto GOWORK=off GOFLAGS='-mod=mod -modcacherw' GONOSUMDB=$module
cd "$work/repo"
tags=()
for dir in "$@"; do
	tag=$version
	if [[ $dir != . ]]; then
		tag=$dir/$version
		(cd "$dir" && "$go" mod edit -require=$module@"$version")
	fi
	tags+=("$tag")
done
git init -q
git add -A
git -c user.name=release -c user.email=release@localhost commit -q -m "$version"
for tag in "${tags[@]}"; do git tag "$tag"; done

# Makes the proxy. The cache of "go mod download" has the layout of a proxy.
published=$work/published/cache/download
cat >"$work/gitconfig" <<-END
	[url "file://$work/repo"]
		insteadOf = https://$module
	[safe]
		directory = *
END
names=() programs=()
for dir in "$@"; do
	name=$module
	[[ $dir == . ]] || name=$module/$dir
	if [[ $dir == cmd/* ]]; then programs+=("$name"); else names+=("$name"); fi
	(cd "$work" && GOPROXY=direct GIT_CONFIG_GLOBAL=$work/gitconfig GOMODCACHE=$work/published GOFLAGS=-modcacherw "$go" mod download "$name@$version")
	echo "published $name $version"
done

# Other people's modules come from the usual proxy, or from the cache.
export GOMODCACHE=$work/cache GOPROXY=file://$published,file://$cache/cache/download,$proxy

# Installs the programs as a stranger does, and the emulator that the programs
# talk to.
for program in ${programs[@]+"${programs[@]}"} $module/examples/sandbox; do
	(cd "$work" && GOBIN=$work/bin quietly "$go" install "$program@latest")
done
"$go" version -m "$work/bin/plural" | grep -q "mod[[:space:]]$module/cmd/plural[[:space:]]$version" || fail "plural is not $version"
"$work/bin/sandbox" -addr 127.0.0.1:0 >"$work/sandbox" &
sandbox=$!
for ((i = 0; i < 100; i++)); do
	! grep -qs 'Stop it' "$work/sandbox" || break
	sleep 0.1
done
(
	cd "$work"
	eval "$(grep -o 'export PLURAL_.*' sandbox)"
	quietly bin/plural doctor
	quietly bin/plural probe -no-payer -only order.not-found -json report.json
	grep -q '"answer": "422 ORDER_NOT_FOUND"' report.json || fail "the report of plural probe does not have the expected answer"
)
echo "installed and run: plural $version"

# The shop.
mkdir "$work/shop"
mv "$work"/*.go "$work/shop"
cd "$work/shop"
"$go" mod init example.com/shop 2>/dev/null
quietly "$go" get "${names[@]/%/@latest}"
quietly "$go" mod tidy
"$go" mod verify
! grep -n replace go.mod || fail "the shop has a replace line"
for name in "${names[@]}"; do
	grep -q "^[[:space:]]*$name $version\$" go.mod || fail "the shop does not have $name $version"
done
"$go" list -test -deps "${names[@]/%//...}" >/dev/null # fails if an import of the modules' own tests is missing
"$go" mod vendor

# Builds from the vendor folder, without the network. With -trimpath the next
# run finds this build in the cache, although its folders have other names.
export GOPROXY=off GOFLAGS='-mod=vendor -trimpath'
"$go" build -o shop .
"$go" vet .
"$go" test -count=1 .
