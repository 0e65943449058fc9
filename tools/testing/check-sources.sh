#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# check-sources.sh: where kernels and tools come from when Debian's archive has moved on, with
# an archive, a kernel.org and a snapshot archive that are made up here.

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/testing/tap.sh"

no_settings
unset LAB_RUN
REAL=$TOP
PROJECT=$WORK/project
CACHE=$WORK/cache
SITE=$WORK/site
# Fewer suites take less time.  That of this machine is another one.
SUITES='trixie-security trixie sid'
export KVM_LIFECYCLE_CACHE="$CACHE" GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
export GIT_AUTHOR_NAME=user GIT_AUTHOR_EMAIL=user@localhost.localdomain
export GIT_COMMITTER_NAME=user GIT_COMMITTER_EMAIL=user@localhost.localdomain
export GNUPGHOME="$WORK/keys" APT_CONFIG="$WORK/apt.conf"
export LAB_LOCKED=1
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$WORK"' EXIT

# A command that fails must not change the project; and nothing is half-written.
state()
{
	(cd "$PROJECT" && find patches -type f -exec sha256sum {} + | sort)
	find "$CACHE/src" "$CACHE/download" "$CACHE/busybox" -maxdepth 1 \( -name '*.tmp' -o -name '*.new' \) 2>/dev/null || :
}

# kernel FOLDER VERSION [SED-COMMAND]: it is kept in $WORK/FOLDER.
kernel()
{
	rm -rf "${WORK:?}/$1"
	mkdir -p "$WORK/$1/virt/kvm"
	makefile_of "$2" >"$WORK/$1/Makefile"
	seq 40 | sed "${3:-}" >"$WORK/$1/virt/kvm/kvm_main.c"
}

# folder_of SUITE: where its files are.
folder_of()
{
	case $1 in
	*-security)	echo "$SITE/debian-security" ;;
	*)		echo "$SITE/debian" ;;
	esac
}

# about FILE SUITE: how a list describes it.
about()
{
	echo "Filename: ${1#"$(folder_of "$2")"/}"
	echo "Size: $(stat -c %s "$1")"
	echo "SHA256: $(sha256sum "$1" | cut -d' ' -f1)"
	echo
}

# package SUITE NAME VERSION FOLDER [ARCHITECTURE]: with the files of a folder.
package()
{
	_file=$(folder_of "$1")/pool/$2_$3_${5:-all}.deb
	mkdir -p "${_file%/*}" "$4/DEBIAN"
	printf '%s\n' "Package: $2" "Version: $3" "Architecture: ${5:-all}" 'Maintainer: nobody <nobody@localhost>' 'Description: made up' >"$4/DEBIAN/control"
	dpkg-deb --root-owner-group -Znone -b "$4" "$_file" >/dev/null
	{ cat "$4/DEBIAN/control"; about "$_file" "$1"; } >>"$WORK/lists/$1.Packages"
}

# linux SUITE VERSION KERNEL: the package linux-source-7.9.
linux()
{
	rm -rf "$WORK/deb"
	mkdir -p "$WORK/deb/usr/src"
	tar -C "$WORK" -cJf "$WORK/deb/usr/src/linux-source-7.9.tar.xz" "$3"
	package "$1" linux-source-7.9 "$2" "$WORK/deb"
}

# upstream SUITE VERSION KERNEL: the upstream tarball of the source package linux.
upstream()
{
	_dir=$(folder_of "$1")/pool _name=linux_${2%-*}
	mkdir -p "$_dir"
	tar -C "$WORK" -cJf "$_dir/$_name.orig.tar.xz" "$3"
	echo 'made up' >"$_dir/linux_$2.dsc"
	{
		printf '%s\n' 'Package: linux' 'Binary: linux-source-7.9' "Version: $2" 'Architecture: any' 'Format: 3.0 (quilt)' 'Directory: pool' 'Checksums-Sha256:'
		for _file in "$_name.orig.tar.xz" "linux_$2.dsc"; do
			echo " $(sha256sum "$_dir/$_file" | cut -d' ' -f1) $(stat -c %s "$_dir/$_file") $_file"
		done
		echo
	} >>"$WORK/lists/$1.Sources"
}

# The lists of all suites, signed.
publish()
{
	for suite in $SUITES bookworm; do
		[ "$suite" != bookworm ] || [ -f "$WORK/lists/bookworm.Packages" ] || continue
		_dir=$(folder_of "$suite")/dists/$suite
		rm -rf "$_dir"
		mkdir -p "$_dir/main/source"
		cat "$WORK/lists/$suite.Sources" >"$_dir/main/source/Sources" 2>/dev/null || :
		for arch in amd64 arm64 riscv64; do
			mkdir "$_dir/main/binary-$arch"
			cat "$WORK/lists/$suite.Packages" >"$_dir/main/binary-$arch/Packages" 2>/dev/null || :
		done
		{
			printf '%s\n' 'Origin: Debian' "Suite: $suite" "Codename: $suite" 'Architectures: amd64 arm64 riscv64' 'Components: main' \
				"Date: $(date -Ru)" 'SHA256:'
			(cd "$_dir" && find main -type f | while read -r _file; do
				echo " $(sha256sum "$_file" | cut -d' ' -f1) $(stat -c %s "$_file") $_file"
			done)
		} >"$_dir/Release"
		gpg -q --batch --yes --clearsign -o "$_dir/InRelease" "$_dir/Release"
		rm "$_dir/Release"
	done
}

# from SCHEME: this machine has Debian from there.
from()
{
	printf 'deb [arch=amd64] %s/debian bookworm main\n' "$1" >"$WORK/apt/sources.list"
	apt-get update >"$WORK/apt.log" 2>&1 || die "the made-up archive cannot be read: $(cat "$WORK/apt.log")"
	# A file that comes from a file: URL stays there.
	for _file in "$WORK"/apt/lists/*InRelease; do
		cp -L "$_file" "$_file.new"
		mv "$_file.new" "$_file"
	done
}

# nothing: an archive without anything, and a cache as well.
nothing()
{
	rm -rf "${SITE:?}"/* "$SITE/.faults" "$CACHE" "$WORK/lists"
	mkdir -p "$WORK/lists" "$CACHE"
	rm -rf "$PROJECT/patches"
	cp -r "$WORK/patches" "$PROJECT/patches"
}

# pins [upstream|package]: the lines of "base" for linux 7.9.5 in the archive.
pins()
{
	_file=$(find "$SITE" -name "$([ "$1" = package ] && echo 'linux-source-7.9_7.9.5-1_all.deb' || echo 'linux_7.9.5.orig.tar.xz')")
	printf '%s\t%s 7.9.5-1 %s\n' "$1" "$([ "$1" = package ] && echo linux-source-7.9 || echo linux)" "$(sha256sum "$_file" | cut -d' ' -f1)" >>"$PROJECT/patches/v7.9/base"
}

# gone [upstream]: linux 7.9.5 was there when it was pinned, and is no more.
gone()
{
	nothing
	linux sid 7.9.5-1 pinned
	pins package
	[ $# -eq 0 ] || {
		upstream sid 7.9.5-1 pinned
		pins upstream
	}
	cp "$SITE"/debian/pool/* "$WORK/kept/"
	rm -rf "${SITE:?}"/* "$WORK"/lists/*
}

source_of()
{
	timeout 100 "$PROJECT/tools/lab/source.sh" v7.9
}

# has VERSION PATCHES: the tree is this kernel, with so many commits.
has()
{
	_tree=$(cat "$CACHE/src/v7.9.path")
	[ "$(kernel_version "$_tree")" = "$1" ] &&
	[ "$(cat "$_tree.version")" = "$1" ] &&
	[ "$(git -C "$_tree" rev-list --count refs/tags/base..refs/tags/series)" -eq "$2" ]
}

# name_of KERNEL: its name for tools/dkms/dkms-check.sh.
name_of()
{
	TOP=$PROJECT sh -c '. "$TOP/tools/lib.sh"; . "$TOP/tools/lab/apt.sh"; . "$0"; host=debian-x LIST=a-list; kernel_name sid "$1"' "$WORK/kernel_name" "$1"
}

# line NUMBER: of the file that the patches change, in the tree with the series.
line()
{
	git -C "$(cat "$CACHE/src/v7.9.path")" show refs/tags/series:virt/kvm/kvm_main.c | sed -n "$1p"
}

# A project with one base of two patches.
make_up()
{
	mkdir -p "$PROJECT" "$WORK/patches/v7.9" "$SITE" "$WORK/kept"
	cp -r "$REAL/tools" "$PROJECT/"
	any_disk "$PROJECT"
	cp "$REAL/Makefile" "$PROJECT/"
	sed -i 's/^ANSWER_SECONDS=.*/ANSWER_SECONDS=3/; s/^LISTS_SECONDS=.*/LISTS_SECONDS=6/; s/^FILE_SECONDS=.*/FILE_SECONDS=6/' "$PROJECT/tools/lab/apt.sh"
	sed -i "/^# mirror_for SUITE/i SUITES='$(echo "$SUITES" | sed 's/[^ ][^ ]*/&:amd64,arm64,riscv64/g')'" "$PROJECT/tools/lab/apt.sh"
	[ ! -f "$PROJECT/tools/lab/elsewhere.sh" ] ||
		sed -i "s#^KERNEL_ORG=.*#KERNEL_ORG=$WEB/pub#; s#^AUTOSIGNER=.*#AUTOSIGNER=$KEY#; s#^AUTOSIGNER_KEY=.*#AUTOSIGNER_KEY=$WEB/key#
			s#^SNAPSHOT=.*#SNAPSHOT=$WEB/snapshot#" "$PROJECT/tools/lab/elsewhere.sh"
	printf '# SPDX-License-Identifier: GPL-2.0-only\nversion\t\t7.9.5\nseries\t\t7.9\ndefault\n' >"$WORK/patches/v7.9/base"
	kernel pinned 7.9.5
	kernel series 7.9.5
	commit_base "$WORK/series" >/dev/null
	for _line in 3 15; do
		sed -i "s/^$_line\$/line $_line/" "$WORK/series/virt/kvm/kvm_main.c"
		git -C "$WORK/series" commit -q -a -m "KVM: Change line $_line"
		git -C "$WORK/series" format-patch -q -1 -N --full-index --zero-commit --no-signature -o "$WORK/patches/v7.9"
	done
	(cd "$WORK/patches/v7.9" && mv 0001-KVM-Change-line-3.patch 0001-change-3.patch && mv 0001-KVM-Change-line-15.patch 0002-change-15.patch)
}

mkdir -m 700 "$GNUPGHOME"
printf "%s\n" quiet no-auto-check-trustdb >"$GNUPGHOME/gpg.conf"
gpg -q --batch --passphrase '' --quick-gen-key autosigner ed25519 sign never 2>/dev/null
KEY=$(gpg --with-colons --list-keys | sed -n 's/^fpr:*\([^:]*\):$/\1/p' | head -n 1)
mkdir -p "$WORK/apt/trusted" "$WORK/apt/lists/partial" "$WORK/apt/cache/archives/partial" "$SITE"
gpg --export >"$WORK/apt/trusted/made-up.gpg"
cat >"$APT_CONFIG" <<END
Dir::Etc::SourceList "$WORK/apt/sources.list";
Dir::Etc::SourceParts "-";
Dir::Etc::Trusted "-";
Dir::Etc::TrustedParts "$WORK/apt/trusted";
Dir::State::Lists "$WORK/apt/lists";
Dir::Cache "$WORK/apt/cache";
APT::Sandbox::User "root";
Acquire::http::Proxy "DIRECT";
END
"$REAL/tools/testing/archive.py" "$SITE" "$WORK/port" &
server=$!
until [ -f "$WORK/port" ]; do sleep 0.1; done
WEB=http://127.0.0.1:$(cat "$WORK/port")

echo TAP version 13
make_up
nothing
# There is nothing in a list that is empty.
package bookworm made-up 1 "$WORK/deb2"
publish
from "file:$SITE"

# The pinned one, and no more files than needed.
nothing
linux trixie-security 7.9.5-1 pinned
publish
pins package
accepts 'the pinned package' source_of
accepts 'is unpacked, with its series' has 7.9.5 2
accepts 'no other suite was read' test "$(cd "$CACHE/apt" && find . -mindepth 1 -maxdepth 1 -type d | paste -sd' ')" = ./trixie-security
rm -rf "$CACHE/src" "$SITE"/debian*
accepts 'the pinned file in the cache, and no archive' source_of
accepts 'is unpacked' has 7.9.5 2

# A newer release.
gone
kernel newer 7.9.6
linux trixie 7.9.6-1 newer
linux sid 7.9~rc3-1 newer
publish
accepts 'the pinned one is gone, and a newer one is there' source_of
said 'a newer one: there is a line on the pinned one' "Debian's archive does not have linux-source-7.9 7.9.5-1 \(package\)$"
said 'a newer one: and on what takes its place' 'linux 7.9.5, which patches/v7.9/base pins, is not there: this is 7.9.6-1, the newest 7.9 of Debian'
accepts 'a newer one: with its series' has 7.9.6 2
accepts 'a newer one: the place of the pinned one is free' test ! -e "$CACHE/src/v7.9"
mkdir -p "$CACHE/download"
cp "$WORK"/kept/linux-source-7.9_7.9.5-1_all.deb "$CACHE/download/$(sed -n 's/^package.* //p' "$PROJECT/patches/v7.9/base")"
newer=$(cat "$CACHE/src/v7.9.path" 2>/dev/null || :)
accepts 'the pinned one comes back' source_of
accepts 'and is taken' has 7.9.5 2
accepts 'the newer one lies beside it' test -d "$newer" -a "$newer" != "$(cat "$CACHE/src/v7.9.path")"

gone upstream
linux trixie 7.9.6-1~bpo13+1 newer
upstream sid 7.9.6-1 newer
publish
rm "$SITE/debian/pool/linux_7.9.6.orig.tar.xz"
accepts 'a tarball that is listed and not served' source_of
said 'a line on it' "Debian's sid does not serve linux 7.9.6-1 \(upstream\): .*"
accepts 'the package is' has 7.9.6 2

# A newer release, and the patches.
gone
kernel newer 7.9.7 's/^15$/another/'
linux sid 7.9.7-1 newer
publish
refuses 'a newer one, and one patch does not apply' \
	'^source.sh: there is no linux 7.9.5: change-15 does not apply to linux 7.9.7: virt/kvm/kvm_main.c .*; give your own tree with KERNEL=path$' source_of
gone
kernel newer 7.9.8 's/^3$/line 3/'
linux sid 7.9.8-1 newer
publish
accepts 'a newer one, and one patch is in it' source_of
said 'a patch that is in it: it is named' 'there already in linux 7.9.8: change-3$'
accepts 'a patch that is in it: each one has its place' has 7.9.8 2
accepts 'a patch that is in it: an empty commit' test -z "$(git -C "$(cat "$CACHE/src/v7.9.path")" diff base series~1)"
accepts 'a patch that is in it: the other is applied' test "$(line 15)" = 'line 15'
accepts 'a patch that is in it: the verdict can be told' grep -qx change-3 "$(cat "$CACHE/src/v7.9.path").there"
accepts 'once more' source_of
accepts 'nothing has changed' has 7.9.8 2
refuses 'series-edit wants the pinned one' '^series-edit.sh: patches/v7.9 is edited on linux 7.9.5, and this is 7.9.8: make base-pin BASE=v7.9 ' \
	env BASE=v7.9 TREE="$WORK/edit" PATH="$WORK/nothing:$PATH" "$PROJECT/tools/series/series-edit.sh"
accepts "a patch that is in a user's tree" env KERNEL="$WORK/newer" "$PROJECT/tools/lab/source.sh" v7.9
said "a patch that is in a user's tree: it is named" 'there already in linux 7.9.8: change-3$'
gone
kernel newer 7.9.9 's/^13$/another/'
linux sid 7.9.9-1 newer
publish
refuses 'the context of a patch has changed' 'change-15 does not apply to linux 7.9.9' source_of
accepts 'another tree of the cache has what git am -3 asks for' env KERNEL="$WORK/pinned" "$PROJECT/tools/lab/source.sh" v7.9
accepts 'then it applies' source_of
said 'and a line says how' 'git am -3 alone applies to linux 7.9.9: change-15$'
accepts 'it is not fuzz' test "$(line 13),$(line 15)" = 'another,line 15'

# Nothing.
gone upstream
publish
rm -rf "$SITE/pub" "$SITE/snapshot"
refuses 'nothing there' "^source.sh: there is no linux 7.9.5: Debian's archive does not have it, nor another 7.9; give your own tree with KERNEL=path$" source_of
said 'nothing there: a line on the upstream tarball' "Debian's archive does not have linux 7.9.5-1 \(upstream\)$"
said 'nothing there: on the newest release' "Debian's archive has no other 7.9$"
said 'nothing there: on kernel.org' 'kernel.org: no linux 7.9.5: '
said 'nothing there: on the snapshot archive' "Debian's snapshot archive: no linux-source-7.9 7.9.5-1 \(package\): "
nothing
printf 'APT::Get::X "y";\nDir::Etc::SourceList "/nowhere";\nDir::Etc::SourceParts "-";\n' >"$WORK/none.conf"
refuses 'no mirror' "Debian's archive does not have it, nor another 7.9 \(this machine's apt configuration has no Debian mirror: run 'apt-get update'" \
	env APT_CONFIG="$WORK/none.conf" "$PROJECT/tools/lab/source.sh" v7.9

# A suite that is gone.
nothing
linux sid 7.9.5-1 pinned
publish
pins package
rm -rf "$SITE/debian/dists/trixie"
accepts 'a suite is gone' source_of
said 'a suite is gone: a line' "Debian's trixie cannot be read and is left out: "
accepts 'a suite is gone: the kernel is there' has 7.9.5 2
gone
linux sid 7.9.5-1 pinned
publish
rm -rf "$SITE/debian/dists/sid"
refuses 'the only suite that has it is gone' "Debian's archive does not have it, nor another 7.9 \(not read: sid; " source_of
nothing
mkdir -p "$WORK/deb2/bin"
echo busybox >"$WORK/deb2/bin/busybox"
package trixie busybox-static 1.37 "$WORK/deb2" amd64
publish
rm -rf "$SITE/debian/dists/sid"
accepts 'busybox' "$PROJECT/tools/lab/busybox.sh" x86
accepts 'busybox: of a suite that is there' grep -qx busybox "$CACHE/busybox/amd64"
rm -rf "$CACHE/busybox" "$SITE/debian/dists/trixie"
refuses 'busybox: nowhere' '^busybox.sh: there is no busybox-static for amd64 in Debian.s archive \(not read: .*trixie' \
	sh -c 'find "$1" -name updated -delete; find "$1" -path "*/lists/*" -type f -delete; "$2" x86' sh "$CACHE/apt" "$PROJECT/tools/lab/busybox.sh"
nothing
package sid linux-image-7.9.6+deb13-amd64 7.9.6-1 "$WORK/deb2"
package sid linux-image-7.9.6+deb13-rt-amd64 7.9.6-1 "$WORK/deb2"
package sid linux-image-7.9.12+deb14-amd64 7.9.12-1 "$WORK/deb2"
publish
sed -n '/^kernel_name/,/^}/p' "$PROJECT/tools/dkms/dkms-check.sh" >"$WORK/kernel_name"
accepts 'dkms-check: a kernel that is there' name_of 7.9.6+deb13-rt-amd64
accepts 'dkms-check: a kernel that is gone' name_of 7.9.5+deb13-amd64
said 'dkms-check: the newest of its series' '^7.9.6\+deb13-amd64$'
refuses 'dkms-check: none of the series' '^kernel_name: debian-x: Debian.s sid has no linux-image-7.8.1\+deb13-amd64: name another kernel' name_of 7.8.1+deb13-amd64
nothing
package sid clang-9 9.1 "$WORK/deb2"
publish
refuses 'clang: none is new enough' '^clang.sh: there is no clang-[0-9]+ or newer in Debian' "$PROJECT/tools/series/clang.sh"
package sid clang-99 99.1 "$WORK/deb2"
publish
rm -rf "$CACHE/apt"
refuses 'clang: a newer one' "Debian's archive does not have clang-[0-9]+, and clang-99 is taken$" "$PROJECT/tools/series/clang.sh"

# QEMU, which is a program that says its version here.
own_qemu()
{
	printf '#!/bin/sh\necho "QEMU emulator version %s"\n' "$1" >"$WORK/own/qemu-system-x"
	chmod +x "$WORK/own/qemu-system-x"
}

emulator()
{
	env PATH="$WORK/own:$PATH" "$PROJECT/tools/lab/emulator.sh" qemu-system-x qemu-x
}

mkdir "$WORK/own"
nothing
package trixie qemu-x 7.2 "$WORK/deb2"
publish
refuses 'qemu: there is none' "^emulator.sh: no qemu-x 10 or newer is here or in Debian's archive: " emulator
own_qemu 7.2.1
accepts 'qemu: an old one is better than none' emulator
said 'qemu: and that is said' "this machine's qemu-system-x 7 is taken, whose hosts hang now and then"
said 'qemu: its name' '^qemu-system-x$'
cp "$WORK/output" "$WORK/said"
accepts 'qemu: a suite that has an old one alone is not tried' sh -c '! grep "does not run" "$0"' "$WORK/said"
package sid qemu-x 11.1 "$WORK/deb2"
publish
rm -rf "$CACHE/apt"
accepts 'qemu: what is unpacked does not run' emulator
said 'qemu: what is unpacked does not run: a line' "qemu-x of Debian's sid cannot be fetched or unpacked: check the network "
said 'qemu: what is unpacked does not run: the old one' '^qemu-system-x$'
accepts 'qemu: nothing of it is left' [ ! -e "$CACHE/qemu/qemu-system-x" -a ! -e "$CACHE/qemu/qemu-system-x.tmp" ]
mkdir -p "$WORK/qemu/usr/bin" "$WORK/qemu/usr/lib64" "$WORK/qemu/usr/lib/x86_64-linux-gnu"
printf '#include <stdio.h>\nint main(void) { return puts("QEMU emulator version 10.0.13") < 0; }\n' |
	gcc -x c -o "$WORK/qemu/usr/bin/qemu-system-x" - || die 'gcc does not work here'
cp -L /lib64/ld-linux-x86-64.so.2 "$WORK/qemu/usr/lib64/"
cp -L /lib/x86_64-linux-gnu/libc.so.6 "$WORK/qemu/usr/lib/x86_64-linux-gnu/"
package trixie qemu-x 10.0 "$WORK/qemu"
publish
rm -rf "$CACHE/apt"
accepts 'qemu: of a newer suite' emulator
said 'qemu: of a newer suite: its name' "^$CACHE/qemu/qemu-system-x/qemu-system-x\$"
accepts 'qemu: once more' emulator
cp "$WORK/output" "$WORK/said"
accepts 'qemu: nothing is unpacked twice' sh -c '! grep unpacking "$0"' "$WORK/said"
rm -r "$CACHE/qemu"
own_qemu 10.0.2
accepts 'qemu: one that is new' emulator
said 'qemu: one that is new is taken' '^qemu-system-x$'
accepts 'qemu: and nothing is unpacked' [ ! -e "$CACHE/qemu" ]

# Checksums.
nothing
linux sid 7.9.5-1 pinned
publish
pins package
sha=$(sed -n 's/^package.* //p' "$PROJECT/patches/v7.9/base")
mkdir -p "$CACHE/download"
echo 'not the kernel' >"$CACHE/download/$sha"
accepts 'a file of the cache is wrong' source_of
said 'a file of the cache is wrong: a line' 'the SHA-256 of linux-source-7.9 7.9.5-1 is not the pinned one'
accepts 'a file of the cache is wrong: it is kept' grep -qx 'not the kernel' "$CACHE/download/$sha.bad"
accepts 'a file of the cache is wrong: the right one is fetched' has 7.9.5 2
rm -rf "$CACHE"
sed -i "s/$sha/$(echo "$sha" | tr 0-9a-f 1-9a-f0)/" "$PROJECT/patches/v7.9/base"
refuses 'the file of the archive is not the pinned one' '^source.sh: there is no linux 7.9.5: ' source_of
said 'the file of the archive is not the pinned one: a line' 'the SHA-256 of linux-source-7.9 7.9.5-1 is not the pinned one, and the file is not used; '
accepts 'the file of the archive is not the pinned one: nothing is unpacked' test -z "$(find "$CACHE/src" -name Makefile)"

# A mirror that is slow, or ends too early.
nothing
package bookworm made-up 1 "$WORK/deb2"
publish
from "$WEB"
for fault in slow half; do
	gone
	kernel newer 7.9.6
	linux trixie 7.9.5-1 pinned
	linux sid 7.9.6-1 newer
	publish
	sed -i '/^package/d' "$PROJECT/patches/v7.9/base"
	pins package
	echo "$fault 7.9.5-1_all" >"$SITE/.faults"
	accepts "a $fault file" source_of
	said "a $fault file: a line" "Debian's trixie does not serve linux-source-7.9 7.9.5-1 \(package\): .*"
	accepts "a $fault file: what is served is taken" has 7.9.6 2
	rm -rf "$CACHE"
	echo "$fault dists/trixie-security" >"$SITE/.faults"
	accepts "$fault lists" source_of
	said "$fault lists: a line" "Debian's trixie-security cannot be read and is left out: "
	accepts "$fault lists: the others do" has 7.9.5 2
done

# A mirror that no longer answers at all.
gone
kernel newer 7.9.6
linux sid 7.9.6-1 newer
publish
accepts 'before the network is gone' source_of
find "$CACHE" -name updated -exec touch -d "2 days ago" {} +
mv "$SITE/debian" "$SITE/hidden" && mv "$SITE/debian-security" "$SITE/hidden-security"
accepts 'without the network' source_of
said 'without the network: the old lists are used' "Debian's sid cannot be read now, and its lists of [0-9-]+ are used: "
accepts 'without the network: the same tree' has 7.9.6 2

# Elsewhere.
sums()
{
	mkdir -p "$SITE/pub/v7.x"
	(cd "$WORK" && tar -cJf "$SITE/pub/v7.x/linux-7.9.5.tar.xz" pinned)
	(cd "$SITE/pub/v7.x" && sha256sum linux-7.9.5.tar.xz) | gpg -q --batch --yes --clearsign -u "$1" -o "$SITE/pub/v7.x/sha256sums.asc"
	gpg --export "$1" >"$SITE/key"
}
gone
publish
sums "$KEY"
accepts 'kernel.org' source_of
said 'kernel.org: a line' 'fetching linux-7.9.5.tar.xz from kernel.org$'
accepts 'kernel.org: the pinned release' has 7.9.5 2
rm -rf "$CACHE/src" "$CACHE/download"
echo half >>"$SITE/pub/v7.x/linux-7.9.5.tar.xz"
refuses 'kernel.org: another file' '^source.sh: there is no linux 7.9.5: ' source_of
said 'kernel.org: a line on the checksum' 'kernel.org: no linux 7.9.5: its checksum is wrong$'
gpg -q --batch --passphrase '' --quick-gen-key somebody ed25519 sign never 2>/dev/null
sums somebody
refuses 'kernel.org: signed by somebody else' "kernel.org: no linux 7.9.5: the list of checksums is not signed by the key $KEY\$" source_of
sums "$KEY"
sed -i 's/^[0-9a-f]\{4\}/0000/' "$SITE/pub/v7.x/sha256sums.asc"
refuses 'kernel.org: a list that was changed' "kernel.org: no linux 7.9.5: the list of checksums is not signed by the key $KEY\$" source_of
rm -r "$SITE/pub"
mkdir -p "$SITE/snapshot/mr/binary/linux-source-7.9/7.9.5-1" "$SITE/snapshot/file"
echo '{"fileinfo": {"0abc": [{"name": "linux-source-7.9_7.9.5-1_all.deb"}]}}' >"$SITE/snapshot/mr/binary/linux-source-7.9/7.9.5-1/binfiles"
cp "$WORK/kept/linux-source-7.9_7.9.5-1_all.deb" "$SITE/snapshot/file/0abc"
accepts "Debian's snapshot archive" source_of
said 'the snapshot archive: a line' "fetching linux-source-7.9 7.9.5-1 \(package\) from Debian's snapshot archive$"
accepts 'the snapshot archive: the pinned file' has 7.9.5 2
rm -rf "$CACHE/src" "$CACHE/download"
echo half >>"$SITE/snapshot/file/0abc"
refuses 'the snapshot archive: another file' "snapshot archive: no linux-source-7.9 7.9.5-1 \(package\): its checksum is wrong$" source_of
echo 'slow /snapshot/ ' >"$SITE/.faults"
refuses 'the snapshot archive: no answer' "snapshot archive: no linux-source-7.9 7.9.5-1 \(package\): " source_of

# The next pin.
nothing
package bookworm made-up 1 "$WORK/deb2"
publish
from "file:$SITE"
pin=$PROJECT/tools/series/base-pin.sh
gone
sed -i 's/^package/# a comment stays\npackage/; $aalso\t7.9.1 package linux-source-7.9 7.9.1-1 0' "$PROJECT/patches/v7.9/base"
kernel newer 7.9.6
kernel newest 7.9.12 's/^15$/another/'
linux trixie 7.9.6-1~bpo13+1 newer
upstream sid 7.9.6-1 newer
linux sid 7.9.12-1 newest
publish
refuses 'base-pin: an unknown base' '^base-pin.sh: unknown BASE=v1.0: ' env BASE=v1.0 "$pin"
refuses 'base-pin: another series' '^base-pin.sh: VERSION=7.8.1 is no 7.9: ' env BASE=v7.9 VERSION=7.8.1 "$pin"
refuses 'base-pin: a release that there is not' "^base-pin.sh: Debian's archive has no linux 7.9.7: nothing was changed$" env BASE=v7.9 VERSION=7.9.7 "$pin"
refuses 'base-pin: a release that a patch does not apply to' '^source.sh: change-15 does not apply to linux 7.9.12' env BASE=v7.9 "$pin"
accepts 'base-pin: an older one' env BASE=v7.9 VERSION=7.9.6 "$pin"
sed 's/[0-9a-f]\{64\}/SHA/; s/[[:space:]]\{1,\}/ /g' "$PROJECT/patches/v7.9/base" >"$WORK/output"
accepts 'base-pin: what it has written' test "$(cat "$WORK/output")" = '# SPDX-License-Identifier: GPL-2.0-only
version 7.9.6
series 7.9
default
# a comment stays
upstream linux 7.9.6-1 SHA
package linux-source-7.9 7.9.6-1~bpo13+1 SHA
also 7.9.1 package linux-source-7.9 7.9.1-1 0'
accepts 'base-pin: and it is used' source_of
accepts 'base-pin: as the pinned one' test "$(cat "$CACHE/src/v7.9.path")" = "$CACHE/src/v7.9"
accepts 'base-pin: with its series' has 7.9.6 2
kernel newest 7.9.13 's/^3$/line 3/'
linux sid 7.9.13-1 newest
publish
rm -rf "$CACHE/apt"
accepts 'base-pin: the newest, with a patch in it' env BASE=v7.9 "$pin"
said 'base-pin: there is something to do' 'make series-edit BASE=v7.9 and make series-export BASE=v7.9 come first'
accepts 'base-pin: once more' env BASE=v7.9 "$pin"
said 'base-pin: there is nothing to do' 'patches/v7.9/base pins linux 7.9.13, and Debian.s archive has no newer one: nothing was changed$'
accepts 'series-edit leaves the patch out' env BASE=v7.9 TREE="$WORK/edit" "$PROJECT/tools/series/series-edit.sh"
accepts 'and the other one is in it' test "$(git -C "$WORK/edit" log --format=%s base..)" = 'KVM: Change line 15'

# Debian's kernels.
nothing
mkdir -p "$PROJECT/Documentation/process" "$PROJECT/arch" "$PROJECT/virt" "$PROJECT/drivers"
touch "$PROJECT/patches/expect" "$PROJECT/patches/needs"
kernel newer 7.9.6 's/^3$/line 3/'
kernel newest 7.9.12 's/^15$/another/'
linux trixie-security 7.9.4-1 pinned
linux trixie-security 7.9.5-1 pinned
linux trixie 7.9.5-1 pinned
linux trixie 7.9.6-1+b1 newer
linux sid 7.9.12-1 newest
publish
track=$PROJECT/tools/series/track.sh
refuses 'track: an unknown base' '^track.sh: unknown BASE=v1.0: ' env BASE="v7.9 v1.0" "$track"
accepts 'track' env BASE=v7.9 "$track"
said 'track: one that takes all patches' '^linux-source-7.9 7.9.5-1 +trixie-security +v7.9 +2 of 2 +- +-$'
said 'track: one that has a patch' '^linux-source-7.9 7.9.6-1\+b1 +trixie +v7.9 +1 of 2 +- +-$'
said 'track: which one' '^\* linux-source-7.9 7.9.6-1\+b1, there already: change-3$'
said 'track: one that does not take a patch' '^linux-source-7.9 7.9.12-1 +sid +v7.9 +do not apply +- +-$'
said 'track: why' '^\* linux-source-7.9 7.9.12-1: change-15: virt/kvm/kvm_main.c'
accepts 'track: the same as JSON' python3 -c 'import json, sys
rows = json.load(open(sys.argv[1]))
assert [(row["version"], row["there"], bool(row["reason"]), row["suites"]) for row in rows] == [
    ("7.9.5-1", [], False, ["trixie-security"]), ("7.9.6-1+b1", ["change-3"], False, ["trixie"]), ("7.9.12-1", [], True, ["sid"])], rows
' "$PROJECT/results/track.json"
accepts 'track: the same as a page' sphinx-build -q -n -W -C -D root_doc=track "$PROJECT/Documentation/process" "$WORK/html"
accepts 'track: once more' env BASE=v7.9 "$track"
accepts 'track: nothing is looked at again' test "$(grep -c 'looking at' "$WORK/output")" -eq 0
printf 'allnoconfig: ; @:\n%%/: ; @:\n' >>"$WORK/pinned/Makefile"
printf 'allnoconfig: ; @:\n%%/: ; @false\n' >>"$WORK/newer/Makefile"
nothing
linux trixie 7.9.5-1 pinned
linux sid 7.9.6-1 newer
publish
accepts 'track: with a compiler' env COMPILE=1 "$track"
said 'track: one that compiles' '^linux-source-7.9 7.9.5-1 +trixie +v7.9 +2 of 2 +yes +-$'
said 'track: one that does not' '^linux-source-7.9 7.9.6-1 +sid +v7.9 +1 of 2 +no +-$'
# In place of the lab, a script that knows which kernel must not pass.
mv "$PROJECT/tools/lab/lab.sh" "$WORK/lab.sh"
printf '#!/bin/sh\nmkdir "$RESULTS"; echo "\\"cell\\": \\"${CELL:-green}\\"" >"$RESULTS/${VERDICT:-results.json}"\n! grep -q "SUBLEVEL = 6" "$KERNEL/Makefile"\n' \
	>"$PROJECT/tools/lab/lab.sh"
chmod +x "$PROJECT/tools/lab/lab.sh"
refuses 'track: the lab ends before its verdict' '^track.sh: the lab has no verdict on linux 7.9.5: see ' env VERDICT=none TEST=1 "$track"
refuses 'track: the lab has an error' '^track.sh: the lab has no verdict on linux 7.9.5: see ' env CELL='ERROR slow' TEST=1 "$track"
accepts 'track: with the lab' env TEST=1 "$track"
said 'track: one that is as declared' '^linux-source-7.9 7.9.5-1 +trixie +v7.9 +2 of 2 +- +yes$'
said 'track: one that is not' '^linux-source-7.9 7.9.6-1 +sid +v7.9 +1 of 2 +- +no$'
accepts 'track: its tree does not stay' [ ! -e "$CACHE/src/track-lab" ]
refuses 'track: TEST is no list here' '^track.sh: TEST=vcpu_index_test: TEST=1 runs the tests of make lab' env TEST=vcpu_index_test "$track"
mv "$WORK/lab.sh" "$PROJECT/tools/lab/lab.sh"
rm -rf "$SITE"/debian*
refuses 'track: nothing there' "^track.sh: Debian's archive has no linux-source of v7.9" sh -c 'rm -r "$1/apt"; "$2"' sh "$CACHE" "$track"
report
