# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# A pinned kernel from outside of Debian's archive, for machines with the Internet: the
# release of kernel.org, and Debian's snapshot archive.  Each is one line when it does not
# answer, and soon.  Both want tools/lab/apt.sh.
#
# kernel.org's file is not pinned, and differs from the one that Debian makes of it.  Its
# SHA-256 is in a list that kernel.org signs, and the fingerprint of the key is here; the
# key itself comes from kernel.org's web key directory, and is trusted only with this
# fingerprint.  The files of the snapshot archive are those that are pinned.

KERNEL_ORG=https://cdn.kernel.org/pub/linux/kernel
AUTOSIGNER=B8868C80BA62A1FFFAF5FDA9632D3A06589DA6B1
AUTOSIGNER_KEY='https://kernel.org/.well-known/openpgpkey/hu/ew8uiogxwri7d3fuioqgt7u1d5sngorx?l=autosigner'
SNAPSHOT=https://snapshot.debian.org
# For a file of some KiB, all in all.
SMALL_SECONDS=20

# get SECONDS URL FILE: by apt's own means, with the machine's proxies, or else the reason in
# $why.
get()
{
	rm -f "$3" "$3.new"
	_status=0
	timeout --foreground -k 5 "$1" /usr/lib/apt/apt-helper -o Acquire::Retries=0 -o APT::Sandbox::User=root \
		-o Acquire::http::Timeout=10 -o Acquire::https::Timeout=10 \
		download-file "$2" "$3.new" >"$APT_LOG" 2>&1 </dev/null || _status=$?
	if [ "$_status" -eq 0 ] && [ -s "$3.new" ]; then
		mv "$3.new" "$3"
		return
	fi
	rm -f "$3.new"
	check_disk "$APT_LOG"
	why=$(apt_reason "$_status" "$1" "$APT_LOG")
	return 1
}

# signed_sum VERSION FOLDER: in $name and $sha, kernel.org's file and its SHA-256.
signed_sum()
{
	name=linux-${1%.0}.tar.xz
	why="releases alone are signed there"
	case $1 in *-rc*) return 1 ;; esac
	get "$SMALL_SECONDS" "$KERNEL_ORG/v${1%%.*}.x/sha256sums.asc" "$2/sums.asc" &&
	get "$SMALL_SECONDS" "$AUTOSIGNER_KEY" "$2/key" || return
	why="the list of checksums is not signed by the key $AUTOSIGNER"
	gpgv --keyring "$2/key" --status-fd 3 --output "$2/sums" "$2/sums.asc" 3>"$2/status" 2>/dev/null &&
	grep -q "^\[GNUPG:\] VALIDSIG .* $AUTOSIGNER\$" "$2/status" || return
	sha=$(awk -v name="$name" '$2 == name { print $1 }' "$2/sums")
	why="the list of checksums does not have it"
	[ -n "$sha" ]
}

# get_right URL SHA256 WHAT WHERE: in $file, the file with this checksum, or else the reason
# in $why.
get_right()
{
	step "fetching $3 from $4" >&2
	file=$CACHE/download/$2
	get "$FILE_SECONDS" "$1" "$file" || return
	why="its checksum is wrong"
	right_sum "$file" "$2" "$3 of $4"
}

# from_kernel_org VERSION: in $file, its release, as an upstream tarball.
from_kernel_org()
{
	_sums=$(mktemp -d) _got=yes
	signed_sum "$1" "$_sums" || _got=
	rm -rf "$_sums"
	if [ -n "$_got" ] && get_right "$KERNEL_ORG/v${1%%.*}.x/$name" "$sha" "$name" kernel.org; then
		return
	fi
	step "kernel.org: no linux $1: $why" >&2
	return 1
}

# snapshot_hash upstream|package NAME VERSION: the hash by which that archive has the file.
snapshot_hash()
{
	case $1 in
	upstream)	_what=mr/package/$2/$3/srcfiles _end=.orig.tar.xz ;;
	package)	_what=mr/binary/$2/$3/binfiles _end=_all.deb ;;
	esac
	_json=$(mktemp)
	hash=
	if get "$SMALL_SECONDS" "$SNAPSHOT/$(echo "$_what" | sed 's/+/%2B/g')?fileinfo=1" "$_json"; then
		why="its list does not have the file"
		hash=$(python3 -c '
import json, sys
for hash, files in json.load(sys.stdin)["fileinfo"].items():
    if any(file["name"].endswith(sys.argv[1]) for file in files):
        print(hash)' "$_end" <"$_json" 2>/dev/null | head -n 1)
	fi
	rm -f "$_json"
	[ -n "$hash" ]
}

# from_snapshot upstream|package NAME VERSION SHA256: in $file, this pinned file.
from_snapshot()
{
	if snapshot_hash "$1" "$2" "$3" &&
	   get_right "$SNAPSHOT/file/$hash" "$4" "$2 $3 ($1)" "Debian's snapshot archive"; then
		return
	fi
	step "Debian's snapshot archive: no $2 $3 ($1): $why" >&2
	return 1
}
