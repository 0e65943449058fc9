# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# Files of Debian's archive, through an apt root of our own: for what is not in
# this machine's suite or not of its architecture.  The machine's mirror and
# keys are used; its sources and lists are not changed.

APT_ROOT=$CACHE/apt
APT_LOG=$CACHE/logs/apt.log
# Suites, each with the architectures that it is asked for.  Debian 12 was not
# made for riscv64, and one suite that was is enough.
SUITES='bookworm:amd64,arm64 bookworm-backports:amd64,arm64
	trixie:amd64,arm64,riscv64 trixie-security:amd64,arm64 trixie-backports:amd64,arm64
	sid:amd64,arm64 experimental:amd64,arm64'

# mirror_for SUITE: where this machine has Debian from, or such a suite of it.
mirror_for()
{
	apt-get indextargets --format '$(SITE) $(ORIGIN) $(CODENAME)' 'Created-By: Packages' 2>/dev/null |
	awk -v suite="$1" '
	$2 != "Debian"				{ next }
	!site && $3 !~ /-/			{ site = $1 }
	!security && $3 ~ /-security$/		{ security = $1 }
	END {
		if (!site)
			exit 1
		if (suite ~ /-security$/)
			site = security ? security : site "-security"
		print site
	}' || die "no Debian mirror in this machine's apt configuration: run 'apt-get update' and the same command again"
}

apt_root()
{
	command -v apt-get >/dev/null ||
		die "this comes from Debian's archive and there is no apt-get here: use a Debian machine or container"
	mkdir -p "$APT_ROOT/lists/partial" "$APT_ROOT/cache/archives/partial"

	for suite in $SUITES; do
		site=$(mirror_for "${suite%:*}") || exit
		echo "deb-src $site ${suite%:*} main"
		echo "deb [arch=${suite#*:}] $site ${suite%:*} main"
	done >"$APT_ROOT/sources.list.new"
	if ! cmp -s "$APT_ROOT/sources.list.new" "$APT_ROOT/sources.list" ||
	   [ -z "$(find "$APT_ROOT/updated" -mtime -1 2>/dev/null)" ]; then
		step "reading the lists of Debian's archive (log: $APT_LOG)"
		mv "$APT_ROOT/sources.list.new" "$APT_ROOT/sources.list"
		# Without this, a list that couldn't be fetched is no error.
		run_logged "$APT_LOG" in_apt_root apt-get update --error-on=any ||
			die "cannot read the lists of Debian's archive: check the network and run the same command again (log: $APT_LOG)"
		touch "$APT_ROOT/updated"
	fi
}

in_apt_root()
{
	_tool=$1
	shift
	"$_tool" -o Dir::Etc::SourceList="$APT_ROOT/sources.list" -o Dir::Etc::SourceParts=- \
		 -o Dir::State::Lists="$APT_ROOT/lists" -o Dir::Cache="$APT_ROOT/cache" \
		 -o APT::Architectures::=amd64 -o APT::Architectures::=arm64 -o APT::Architectures::=riscv64 \
		 -o Acquire::Languages=none -o Acquire::Retries=3 -o APT::Sandbox::User=root "$@"
}

# download upstream|package NAME VERSION FILE: it fails when the archive does not have
# this.
download()
{
	_tmp=$4.tmp
	rm -rf "$_tmp"
	mkdir -p "$_tmp"
	step "fetching $2 $3 ($1)"
	case $1 in
	upstream)
		_get="apt-get source --download-only --tar-only" ;;
	package)
		_get="apt-get download" ;;
	esac
	(cd "$_tmp" && run_logged "$APT_LOG" in_apt_root $_get "$2=$3" 2>/dev/null) || {
		rm -rf "$_tmp"
		return 1
	}
	mv "$_tmp"/* "$4.new"
	rm -rf "$_tmp"
	mv "$4.new" "$4"
}

# fetch upstream|package NAME VERSION SHA256: have this file in the cache; $file
# is its path.  It fails when the archive does not have the file.
fetch()
{
	file=$CACHE/download/$4
	[ -f "$file" ] || download "$1" "$2" "$3" "$file" || return 1
	if [ "$(sha256sum "$file" | cut -d' ' -f1)" != "$4" ]; then
		mv "$file" "$file.bad"
		die "the SHA-256 of $2 $3 is not the one that patches/$BASE/base pins: the file was kept as $file.bad; compare it with the archive's signed list, then run the same command again"
	fi
}

# unpack upstream|package DIRECTORY [TAR-OPTION...]: the kernel that is in $file.
unpack()
{
	_kind=$1 _into=$2
	shift 2
	case $_kind in
	upstream)
		tar -xf "$file" -C "$_into" --strip-components=1 "$@" ;;
	package)
		dpkg-deb --fsys-tarfile "$file" |
		tar -xOf - --wildcards './usr/src/linux-source-*.tar.xz' |
		tar -xJf - -C "$_into" --strip-components=1 "$@" ;;
	esac
}
