# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# Files of Debian's archive, through apt roots of our own, one a suite: for packages that
# are not in this machine's suite or not of its architecture.  The machine's mirror and
# keys are used; its sources and lists are not changed.
#
# A suite is read when it is asked for something, once a day.  One that cannot be read is
# a line, and no error: the wanted file may be in another.

APT=$CACHE/apt
APT_LOG=$CACHE/logs/apt.log
# Suites, each with the architectures that it is asked for, in this order: those with
# short lists come first.  Debian 12 was not made for riscv64, and one suite that was is
# enough.
SUITES='trixie-security:amd64,arm64 trixie-backports:amd64,arm64 bookworm-backports:amd64,arm64
	trixie:amd64,arm64,riscv64 sid:amd64,arm64 experimental:amd64,arm64 bookworm:amd64,arm64'
# Seconds, after which there is no answer: of a server, with the lists of a suite, with a file.
ANSWER_SECONDS=30
LISTS_SECONDS=300
FILE_SECONDS=1800

# The sites and suites that this machine has Debian from.
SITES=$(apt-get indextargets --format '$(SITE) $(CODENAME) $(ORIGIN)' 'Created-By: Packages' 2>/dev/null | sed -n 's/ Debian$//p')
NO_ARCHIVE=
if ! command -v apt-get >/dev/null; then
	NO_ARCHIVE='there is no apt-get here: use a Debian machine or container'
elif [ -z "$SITES" ]; then
	NO_ARCHIVE="this machine's apt configuration has no Debian mirror: run 'apt-get update' and the same command again"
fi

suites()
{
	[ -z "$NO_ARCHIVE" ] || return 0
	for _suite in $SUITES; do
		echo "${_suite%:*}"
	done
}

# mirror_for SUITE: the site of this machine that has it, or that has to.
mirror_for()
{
	echo "$SITES" | awk -v suite="$1" '
	!site && $2 !~ /-/			{ site = $1 }
	!security && $2 ~ /-security$/		{ security = $1 }
	END {
		if (suite ~ /-security$/)
			site = security ? security : site "-security"
		print site
	}'
}

# in_suite SUITE SECONDS TOOL ARGS...: one of apt's tools, which knows this suite alone.
in_suite()
{
	_root=$APT/$1 _seconds=$2 _tool=$3
	shift 3
	timeout --foreground -k 5 "$_seconds" "$_tool" \
		-o Dir::Etc::SourceList="$_root/sources.list" -o Dir::Etc::SourceParts=- \
		-o Dir::State::Lists="$_root/lists" -o Dir::Cache="$_root/cache" -o APT::Get::List-Cleanup=0 \
		-o APT::Architectures::=amd64 -o APT::Architectures::=arm64 -o APT::Architectures::=riscv64 \
		-o Acquire::http::Timeout="$ANSWER_SECONDS" -o Acquire::https::Timeout="$ANSWER_SECONDS" \
		-o Acquire::Languages=none -o Acquire::Retries=2 -o APT::Sandbox::User=root "$@"
}

# apt_reason STATUS SECONDS LOG: why one of these tools has failed, in a few words.
apt_reason()
{
	if [ "$1" -eq 124 ] || [ "$1" -eq 137 ]; then
		echo "it was not there within $2 seconds"
	else
		_said=$(for _head in '[EW]: Failed to fetch [^ ]* *' 'E: ' 'W: '; do
			sed -n "s/^$_head//p" "$3" | cut -c1-150
		done | grep . | head -n 1)
		echo "${_said:-see $3}"
	fi
}

# A disk that is full is no reason to look elsewhere.
check_disk()
{
	! grep -qs 'No space left on device' "$1" ||
		die "the disk is full: make room and run the same command again (log: $1)"
}

update_suite()
{
	_log=$CACHE/logs/apt-$1.log
	if [ -e "$_root/updated" ]; then _old=yes; else _old=; fi
	step "reading the lists of Debian's $1 (log: $_log)"
	_status=0
	# Without this option, a list that couldn't be fetched is no error.
	in_suite "$1" "$LISTS_SECONDS" apt-get update --error-on=any >"$_log" 2>&1 </dev/null || _status=$?
	if [ "$_status" -eq 0 ]; then
		touch "$_root/updated"
		rm -f "$_root/failed"
		return
	fi
	check_disk "$_log"
	_why=$(apt_reason "$_status" "$LISTS_SECONDS" "$_log")
	printf '%s\n%s\n' "$LAB_RUN" "$_why" >"$_root/failed"
	if [ -n "$_old" ]; then
		step "Debian's $1 cannot be read now, and its lists of $(date -r "$_root/updated" +%F) are used: $_why"
	else
		step "Debian's $1 cannot be read and is left out: $_why"
	fi
}

# read_suite SUITE: have its lists; a suite that has failed is not tried again in this run.
read_suite()
{
	_root=$APT/$1
	_site=$(mirror_for "$1")
	mkdir -p "$_root/lists/partial" "$_root/cache/archives/partial" "$CACHE/logs"
	_arches=$(printf '%s\n' $SUITES | sed -n "s/^$1://p")
	printf '%s\n' "deb-src $_site $1 main" "deb [arch=${_arches:-amd64}] $_site $1 main" >"$_root/sources.list.new"
	cmp -s "$_root/sources.list.new" "$_root/sources.list" || {
		rm -f "$_root/updated" "$_root/failed"
		mv "$_root/sources.list.new" "$_root/sources.list"
	}
	if [ -z "$(find "$_root/updated" -mtime -1 2>/dev/null)" ] &&
	   [ "$(head -n 1 "$_root/failed" 2>/dev/null)" != "$LAB_RUN" ]; then
		# A caller may read versions from standard output.
		locked "$_root/.lock" update_suite "$1" >&2 || exit
	fi
	[ -e "$_root/updated" ]
}

# unread: the reason why the archive may have more than was found, for the end of an error.
unread()
{
	[ -z "$NO_ARCHIVE" ] || echo " ($NO_ARCHIVE)"
	for _suite in $(suites); do
		[ "$(head -n 1 "$APT/$_suite/failed" 2>/dev/null)" != "$LAB_RUN" ] || echo "$_suite"
	done | paste -sd' ' | sed 's/..*/ (not read: &; see the lines above)/'
}

# versions upstream|package NAME SUITE: of a source package's upstream tarball, or of a
# package, in a suite that was read.
versions()
{
	case $1 in
	upstream)	in_suite "$3" 60 apt-cache showsrc --only-source "$2" ;;
	package)	in_suite "$3" 60 apt-cache show "$2" ;;
	esac 2>/dev/null | sed -n 's/^Version: //p'
}

# look_for upstream|package NAME [VERSION]: in $suite, the first one that has this.
look_for()
{
	for suite in $(suites); do
		read_suite "$suite" || continue
		_versions=$(versions "$1" "$2" "$suite")
		if [ $# -eq 2 ]; then
			[ -z "$_versions" ] || return 0
		elif echo "$_versions" | grep -qxF -e "$3"; then
			return 0
		fi
	done
	return 1
}

# newest upstream|package NAME [REGEXP [VERSION]]: "VERSION SUITE" of the newest one that
# all suites have, whose version begins so, and is not this one.
newest()
{
	for _in in $(suites); do
		! read_suite "$_in" || versions "$1" "$2" "$_in" | grep -E "^${3:-}" | grep -vxF -e "${4:-none}" | sed "s/\$/ $_in/"
	done | sort -uV | tail -n 1
}

# newest_kernels SERIES [REGEXP [UPSTREAM [PACKAGE]]]: "KIND NAME VERSION SUITE" of its
# newest releases, the newest one first, but for these two versions.  Of two that are the
# same one, the one without Debian's patches comes first.
newest_kernels()
{
	_begins=${2:-$(echo "$1" | sed 's/\./\\./g')[.~]}
	for _each in "upstream linux ${3:-none}" "package linux-source-$1 ${4:-none}"; do
		newest ${_each% *} "$_begins" "${_each##* }" | sed "s/^/${_each% *} /"
	done | sort -s -r -V -k 3,3
}

# kernel_of VERSION: the kernel of one of Debian's versions, e.g. 7.3.0-rc7 of 7.3~rc7-1~exp1.
kernel_of()
{
	echo "${1%-*}" | sed 's/~rc/.0-rc/'
}

# download upstream|package NAME VERSION FILE: out of $suite.
download()
{
	_tmp=$4.tmp
	rm -rf "$_tmp"
	mkdir -p "$_tmp"
	step "fetching $2 $3 ($1) from Debian's $suite" >&2
	case $1 in
	upstream)
		_get="apt-get source --download-only --tar-only" ;;
	package)
		_get="apt-get download" ;;
	esac
	_status=0
	(cd "$_tmp" && in_suite "$suite" "$FILE_SECONDS" $_get "$2=$3") >"$APT_LOG" 2>&1 </dev/null || _status=$?
	if [ "$_status" -ne 0 ]; then
		rm -rf "$_tmp"
		check_disk "$APT_LOG"
		step "Debian's $suite does not serve $2 $3 ($1): $(apt_reason "$_status" "$FILE_SECONDS" "$APT_LOG")" >&2
		return 1
	fi
	mv "$_tmp"/* "$4.new"
	rm -rf "$_tmp"
	mv "$4.new" "$4"
}

# fetch_any PACKAGE FILE: of the first suite that has and serves it.
fetch_any()
{
	for suite in $(suites); do
		read_suite "$suite" || continue
		for _version in $(versions package "$1" "$suite" | head -n 1); do
			! download package "$1" "$_version" "$2" || return 0
		done
	done
	return 1
}

# right_sum FILE SHA256 NAME: a file with another checksum is put aside, with a line.
right_sum()
{
	[ "$(sha256sum "$1" | cut -d' ' -f1)" != "$2" ] || return 0
	mv "$1" "$1.bad"
	step "the SHA-256 of $3 is not the pinned one, and the file is not used; it was kept as $1.bad" >&2
	return 1
}

# cached upstream|package NAME VERSION SHA256: in $file, a pinned file that the cache has.
cached()
{
	file=$CACHE/download/$4
	[ -f "$file" ] && right_sum "$file" "$4" "$2 $3"
}

# fetch upstream|package NAME VERSION SHA256: in $file, a pinned file, of the cache or of
# the archive.
fetch()
{
	mkdir -p "$CACHE/download"
	! cached "$@" || return 0
	look_for "$1" "$2" "$3" || {
		step "Debian's archive does not have $2 $3 ($1)$(unread)" >&2
		return 1
	}
	download "$1" "$2" "$3" "$file" && right_sum "$file" "$4" "$2 $3"
}

# fetch_newest upstream|package NAME VERSION: in $file and $sha, a file of $suite that
# need not be pinned: apt has verified it by the archive's signed lists.
fetch_newest()
{
	mkdir -p "$CACHE/download"
	sha=$(cat "$CACHE/download/$2_$3.$1" 2>/dev/null) ||
		sha=$(sed -n "s/.*$1[[:space:]]\{1,\}$2 $3 //p" "$TOP"/patches/*/base | head -n 1)
	if [ -z "$sha" ] || ! cached "$@" "$sha"; then
		file=$CACHE/download/$2_$3
		download "$1" "$2" "$3" "$file" || return
		sha=$(sha256sum "$file" | cut -d' ' -f1)
		mv "$file" "$CACHE/download/$sha"
		file=$CACHE/download/$sha
		echo "$sha" >"$CACHE/download/$2_$3.$1"
	fi
}

# pin upstream|package NAME REGEXP: the line of "base" for the newest version that
# begins so, or nothing.
pin()
{
	set -- "$1" "$2" $(newest "$@")
	[ $# -eq 4 ] || return 0
	suite=$4
	# In the column of the other lines.
	! fetch_newest "$1" "$2" "$3" ||
		printf '%s\t%s %s %s\n' "$(printf '%s' "$1" | sed 's/^package$/&\t/')" "$2" "$3" "$sha"
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

# needed_by PACKAGE...: these packages of $suite, and all that they depend on.
needed_by()
{
	in_suite "$suite" 60 apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts \
		--no-breaks --no-replaces --no-enhances "$@" | grep -E '^[a-z0-9][^:]*$' | sort -u
}

# unpack_packages FOLDER PACKAGE...: these of $suite, which are not installed.
unpack_packages()
{
	_into=$1
	shift
	mkdir -p "$_into.deb" &&
	(cd "$_into.deb" && in_suite "$suite" "$FILE_SECONDS" apt-get download "$@") &&
	for _deb in "$_into.deb"/*_amd64.deb "$_into.deb"/*_all.deb; do
		[ ! -f "$_deb" ] || dpkg-deb -x "$_deb" "$_into" || return
	done &&
	rm -r "$_into.deb"
}

# foreign_program FOLDER PROGRAM [OPTIONS]: to be run with the C library and the libraries
# that lie beside it in FOLDER/root, in which it will be, see FOLDER.tmp: FOLDER/NAME runs
# it.  The interpreter of an ELF file is an absolute path.
foreign_program()
{
	patchelf --set-interpreter "$1/root/usr/lib64/ld-linux-x86-64.so.2" "$1.tmp/root/$2" &&
	cat >"$1.tmp/${2##*/}" <<-END &&
		#!/bin/sh
		LD_LIBRARY_PATH=$1/root/usr/lib/x86_64-linux-gnu exec $1/root/$2 ${3:-} "\$@"
	END
	chmod +x "$1.tmp/${2##*/}"
}
