#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# check-identity.sh [scripts|hosts]: kvm_lifecycle opens no file unless it was built for the
# KVM that is there.  scripts: virt/kvm/identity.sh, on files that are made up here.
# hosts: emulated hosts without and with the series, each with its own kvm_lifecycle
# and with the one that was built for the other (BASE, HOST='amd arm'), see
# other-kvm.sh.

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/testing/tap.sh"

WHAT=${1:-hosts}
[ "$WHAT" = hosts ] || no_settings
BASE=${BASE:-$(default_base)}

state()
{
	(cd "$WORK" && find . -type f ! -name output | sort)
}

# elf FILE NUMBER: with a build ID of this digit, or with none.
elf()
{
	mkdir -p "$(dirname "$WORK/$1")"
	: | gcc -x c -c -o "$WORK/object.o" -
	set -- "$1" "${2:+--build-id=0x$(printf '%040d' 0 | tr 0 "$2")}"
	ld -r "${2:---build-id=none}" -o "$WORK/$1" "$WORK/object.o"
}

# note FILE NUMBER: as it is in an image.
note()
{
	{
		printf '\004\0\0\0\024\0\0\0\003\0\0\0GNU\0'
		printf '%020d' 0 | tr 0 "\\$(printf '%03o' $((17 * $2)))"
	} >>"$WORK/$1"
}

# little SIZE: in 4 bytes, little-endian.
little()
{
	for _shift in 0 8 16 24; do
		printf %b "\\0$(printf '%03o' $(($1 >> _shift & 255)))"
	done
}

# image FILE: as arm64's begin.
image()
{
	{
		head -c 56 /dev/zero
		printf 'ARMd'
		head -c 196 /dev/zero
	} >"$WORK/$1"
}

# header m|y [FILE...]: of files in $WORK.
header()
{
	_kvm=$1
	shift
	for _file; do
		shift
		set -- "$@" "$WORK/$_file"
	done
	ROOT="$WORK/root" UNSAFE="${unsafe:-}" "$TOP/virt/kvm/identity.sh" "$_kvm" 1.0 "$WORK/tree" "$@"
}

without_gzip()
(
	PATH=$WORK/bin
	header "$@"
)

# is NAME WANTED m|y [FILE...]: those IDs, named by their digits, and nothing else is said.
is()
{
	accepts "$1" header_is "$@"
}

header_is()
{
	_wanted=$2
	shift 2
	header "$@" >"$WORK/header" 2>&1 || :
	cat "$WORK/header"
	sed -n 's/^#define KVML_BUILT_FOR "\(.*\)"$/\1/p' "$WORK/header" |
		sed 's/\([0-9a-f]\)\1\{39\}/\1/g' | grep -qxF -e "$_wanted" &&
	! grep -v -e '^#define' -e '^/\*' "$WORK/header"
}

scripts()
{
	echo TAP version 13
	elf m/kvm.ko 1
	elf m/kvm-amd.ko 2
	elf m/kvm-intel.ko 3
	elf vmlinux 4
	is 'modules and a kernel' 'kernel=4 kvm=1 kvm_amd=2' m vmlinux m/kvm.ko m/kvm-amd.ko
	is 'a folder' 'kvm=1 kvm_amd=2 kvm_intel=3 kernel=4' m m vmlinux
	is 'built in' 'kernel=4' y vmlinux
	mkdir "$WORK/xz"
	for file in "$WORK"/m/*; do
		objcopy --strip-debug "$file"
		xz -c "$file" >"$WORK/xz/${file##*/}.xz"
		echo '~Module signature appended~' >>"$file"
	done
	is 'signed modules' 'kvm=1 kvm_amd=2 kvm_intel=3 kernel=4' m m vmlinux
	is 'compressed modules' 'kvm=1 kvm_amd=2 kvm_intel=3 kernel=4' m xz vmlinux
	gzip -c "$WORK/vmlinux" >"$WORK/vmlinux.gz"
	is 'a compressed kernel' 'kernel=4' y vmlinux.gz

	mkdir "$WORK/bin"
	for tool in sh mktemp rm cp cat od tr head tail sed grep cut sort wc readelf; do
		ln -s "$(command -v "$tool")" "$WORK/bin/"
	done
	refuses 'no command to unpack it with' \
		'^kvm_lifecycle: .*/vmlinux\.gz does not have one build ID, as gzip is not installed: name ' \
		without_gzip y vmlinux.gz

	image Image
	note Image 5
	cat "$WORK/vmlinux" >>"$WORK/Image"
	head -c 3000000 /dev/zero >>"$WORK/Image"
	is "an image, and not the vDSO that is in it" 'kernel=5' y Image
	{
		printf 'MZ\0\0zimg'
		little 64
		gzip -c "$WORK/Image" >"$WORK/Image.gz"
		little "$(stat -c %s "$WORK/Image.gz")"
		head -c 48 /dev/zero
		cat "$WORK/Image.gz"
		printf 'what follows'
	} >"$WORK/zboot"
	is 'an image for EFI' 'kernel=5' y zboot
	{
		head -c 497 /dev/zero
		printf '\001'
		head -c 16 /dev/zero
		printf 'HdrS'
		head -c 66 /dev/zero
		little 16
		little "$(stat -c %s "$WORK/vmlinux.gz")"
		head -c $((2 * 512 + 16 - 592)) /dev/zero
		cat "$WORK/vmlinux.gz"
		head -c 512 /dev/zero
	} >"$WORK/bzImage"
	is 'an image of x86' 'kernel=4' y bzImage

	cp "$WORK/Image" "$WORK/two"
	note two 6
	refuses 'an image with two build IDs' '^kvm_lifecycle: .*/two does not have one build ID: name ' header y two
	elf none/kvm.ko ''
	refuses 'a module without' '^kvm_lifecycle: .*/none/kvm\.ko does not have one build ID: name ' header m none
	: >"$WORK/empty"
	refuses 'an empty file' '/empty does not have one build ID: ' header y empty
	refuses 'a file that is not there' '^kvm_lifecycle: there is no .*/nothing: KVML_KVM= takes ' header y nothing
	mkdir "$WORK/folder"
	refuses 'a folder without KVM' '^kvm_lifecycle: there is no kvm\.ko in .*/folder: name ' header m folder
	refuses 'another kernel besides' '^kvm_lifecycle: .*/Image is the second kernel: name one ' header m m vmlinux Image
	cp "$WORK/vmlinux" "$WORK/other.ko"
	refuses 'a module that is not of KVM' '^kvm_lifecycle: .*/other\.ko is no module of KVM: ' header m other.ko

	accepts 'nothing is known, KVM is built in' header y
	said 'nothing is known: says so' '^kvm_lifecycle: warning: the build ID of the kernel 1\.0, .* will not open any of its files: build it again with KVML_KVM='
	said 'nothing is known: and the module is for nothing' '^#define KVML_BUILT_FOR ""$'
	accepts 'nothing is known, KVM is a module' header m
	said 'nothing is known: says so' '^kvm_lifecycle: warning: the build ID of kvm is not known, .* any of its files: '
	accepts 'nothing is known: nothing needs the kernel without UNSAFE=1' test -z "$(grep 'build ID of the kernel' "$WORK/output")"
	unsafe=1
	accepts 'nothing is known, UNSAFE=1' header m
	said 'nothing is known: and of the kernel' '^kvm_lifecycle: warning: the build ID of the kernel 1\.0 is not known, .* the file iommu: '
	unsafe=
	mkdir -p "$WORK/root/boot" "$WORK/root/lib/modules/1.0/kernel/arch/x86" "$WORK/root/lib/modules/1.0/updates/dkms"
	cp "$WORK/Image" "$WORK/root/boot/vmlinuz-1.0"
	cp -r "$WORK/xz" "$WORK/root/lib/modules/1.0/kernel/arch/x86/kvm"
	elf root/lib/modules/1.0/updates/dkms/kvm.ko 9
	is "the installed kernel's own" 'kvm=1 kvm_amd=2 kvm_intel=3 kernel=5' m
	is 'what is named, and its kernel' 'kvm=9 kernel=5' m root/lib/modules/1.0/updates/dkms/kvm.ko
	elf tree/arch/x86/kvm/kvm.ko 7
	elf tree/vmlinux 8
	is 'the object tree first' 'kvm=7 kernel=8' m
	elf tree/vmlinux ''
	is 'a file of that name without build ID' 'kvm=7 kernel=5' m
}

# make_host HOST PATCHES OTHER-PATCHES
make_host()
{
	own=$(readlink -f "$CACHE/out/$BASE-$arch-$2")
	other=$(readlink -f "$CACHE/out/$BASE-$arch-$3")
	tests=$WORK/cache/tests/$1-$2
	files=$WORK/files/$1-$2
	mkdir -p "$tests" "$files"
	make_look "$arch" "$tests" "$files"
	cp "$CACHE/module/${other##*/}/kvm_lifecycle.ko" "$files/kvm_lifecycle.ko.other"
	sed 's/\(k[a-z_]*\)=\([0-9a-f]\{40\}\)/\U\1\E=\2/g' "$CACHE/module/${own##*/}/kvm_lifecycle.ko" \
		>"$files/kvm_lifecycle.ko.unknown"
	[ ! -f "$other/modules/kvm.ko" ] || cp "$other/modules/kvm.ko" "$other/modules/kvm-amd.ko" "$files/"
	tar -C "$files" -cf "$files.tar" .
	ln -sfn "$1-$2" "$WORK/cache/tests/$BASE-$arch"
	env KVM_LIFECYCLE_CACHE="$WORK/cache" TEST_FILE="$files.tar" "$TOP/tools/lab/host.sh" "$BASE" "$1" "$2" "$WORK/results/$1-$2" other_kvm
}

judged()
{
	mkdir -p "$WORK/project/tools"
	cp -r "$TOP/tools/lab" "$WORK/project/tools/"
	cp -r "$TOP/patches" "$WORK/project/"
	printf 'other_kvm\t%s\t-\tpass\n' "$(echo "$HOST" | tr ' ' ,)" >"$WORK/project/patches/expect"
	sed -i '/^[^#]/d' "$WORK/project/patches/proved"
	"$WORK/project/tools/lab/results.py" judge "$WORK/results" --base "$BASE" --hosts "$HOST" --variants 'none all'
}

hosts()
{
	each_base $BASE
	check_base "$BASE"
	pick_hosts
	echo TAP version 13
	get_tree "$BASE" >&2
	mkdir -p "$WORK/cache/tests"
	for folder in out module busybox qemu; do
		ln -s "$CACHE/$folder" "$WORK/cache/$folder"
	done
	for host in $HOST; do
		arch=$(host_get "$host" arch)
		"$TOP/tools/lab/busybox.sh" "$arch" >&2
		for patches in none all; do
			"$TOP/tools/lab/build.sh" "$BASE" "$arch" "$patches" >&2
			"$TOP/tools/lab/module.sh" "$BASE" "$arch" "$patches" >&2
		done
		make_host "$host" none all
		make_host "$host" all none
	done
	[ -z "${KEEP:-}" ] || cp -r "$WORK/results" "$KEEP"
	accepts "$BASE: kvm_lifecycle opens nothing with a KVM that it was not built for" judged
	cat "$WORK/output"
}

case $WHAT in
scripts)	scripts ;;
hosts)		hosts ;;
*)		die "check-identity.sh scripts|hosts" ;;
esac
report
