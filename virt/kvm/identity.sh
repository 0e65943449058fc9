#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# identity.sh m|y RELEASE OBJTREE [FILE...]: a header with the build IDs of the KVM that
# kvm_lifecycle is built for, on standard output.  m: KVM is a module, y: it is built in.
#
# A FILE is a module of KVM (kvm.ko, kvm-amd.ko, kvm-intel.ko), a folder with them, or
# the kernel: vmlinux or an image.  Any of them may be compressed.  If no module is named,
# they are those in the object tree OBJTREE, or else those of the installed kernel RELEASE;
# the same goes for the kernel.  ROOT=path is where installed files are looked for.

set -eu
export LC_ALL=C

KVM=$1 RELEASE=$2 OBJTREE=$3
shift 3
ROOT=${ROOT:-}
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
trap 'exit 130' INT TERM

die()
{
	echo "kvm_lifecycle: $*" >&2
	exit 1
}

# bytes FILE OFFSET COUNT: in hexadecimal digits.
bytes()
{
	od -An -v -tx1 -j "$2" -N "$3" "$1" 2>/dev/null | tr -d ' \n'
}

# number FILE OFFSET: 32 bits, little-endian.
number()
{
	_number=
	for _byte in $(od -An -v -tx1 -j "$2" -N 4 "$1"); do
		_number=$_byte$_number
	done
	echo $((0x$_number))
}

# part FILE OFFSET [SIZE]
part()
{
	if [ -n "${3:-}" ]; then
		tail -c "+$(($2 + 1))" "$1" | head -c "$3"
	else
		tail -c "+$(($2 + 1))" "$1"
	fi
}

# elf_ids FILE: each on a line.
elf_ids()
{
	"${READELF:-readelf}" -n "$1" 2>/dev/null | sed -n 's/^ *Build ID: \([0-9a-f]*\)$/\1/p'
}

# offsets FILE TEXT: of the text in the file.
offsets()
{
	grep -aobF "$2" "$1" | cut -d: -f1
}

# The sections of an image are not known any more: take each build ID in it, but not
# those of the ELF files in it, which are the vDSOs.
image_ids()
{
	for _at in $(offsets "$1" "$(printf '\177ELF')"); do
		part "$1" "$_at" 1048576 >"$WORK/elf"
		elf_ids "$WORK/elf"
	done >"$WORK/not"
	for _at in $(offsets "$1" GNU); do
		# A note whose name has 4 bytes, with a description of 20, of the type 3.
		[ "$_at" -ge 12 ] || continue
		case $(bytes "$1" $((_at - 12)) 36) in
		040000001400000003000000474e5500*)
			bytes "$1" $((_at + 4)) 20
			echo ;;
		esac
	done | sort -u | grep -vxFf "$WORK/not"
}

# payload FILE: the payload of an image that unpacks itself.
payload()
{
	# x86: it begins behind the boot sectors.
	if [ "$(bytes "$1" 514 4)" = 48647253 ]; then
		part "$1" $(((($(number "$1" 496) >> 8 & 255) + 1) * 512 + $(number "$1" 584))) "$(number "$1" 588)"
	# EFI
	elif [ "$(bytes "$1" 4 4)" = 7a696d67 ]; then
		part "$1" "$(number "$1" 8)" "$(number "$1" 12)"
	fi
}

# ids FILE: the build IDs in a file of any kind.
ids()
{
	_unpack=
	case $(bytes "$1" 0 6),$(bytes "$1" 56 4) in
	7f454c46*)	elf_ids "$1"; return ;;
	*,41524d64|*,52534305)	# arm64, RISC-V
			image_ids "$1"; return ;;
	1f8b*)		_unpack='gzip -dc' ;;
	fd377a585a00*)	_unpack='xz -dc' ;;
	28b52ffd*)	_unpack='zstd -dcq' ;;
	425a68*)	_unpack='bzip2 -dc' ;;
	5d0000*)	_unpack='xz -dc --format=lzma' ;;
	02214c18*)	_unpack='lz4 -dc' ;;
	894c5a4f*)	_unpack='lzop -dc' ;;
	esac
	# An image may have its payload's size behind it, which is no part of the archive.
	if [ -n "$_unpack" ]; then
		command -v "${_unpack%% *}" >/dev/null || echo ", as ${_unpack%% *} is not installed" >"$WORK/why"
		$_unpack <"$1" >"$1.in" 2>/dev/null || :
	else
		payload "$1" >"$1.in"
	fi
	[ ! -s "$1.in" ] || ids "$1.in"
}

# id_of FILE: the one that it has.
id_of()
{
	rm -f "$WORK"/file*
	cp "$1" "$WORK/file" || return
	ids "$WORK/file" | sort -u >"$WORK/ids"
	[ "$(wc -l <"$WORK/ids")" -eq 1 ] && cat "$WORK/ids"
}

# modules_in FOLDER
modules_in()
{
	for _module in kvm kvm-amd kvm-intel; do
		for _file in "$1/$_module.ko" "$1/$_module".ko.*; do
			[ ! -f "$_file" ] || echo "$_file"
		done
	done
}

# why: the command that is missing, if it was one.
why()
{
	cat "$WORK/why" 2>/dev/null || :
}

# take FILE: as one of those that kvm_lifecycle is for.
take()
{
	_name=${1##*/}
	case $_name in
	kvm.ko*|kvm-amd.ko*|kvm-intel.ko*)
		_name=$(echo "${_name%%.ko*}" | tr - _) ;;
	*.ko|*.ko.*)
		die "$1 is no module of KVM: KVML_KVM= takes kvm.ko, kvm-amd.ko, kvm-intel.ko and the kernel" ;;
	*)	_name=kernel ;;
	esac
	case $ALL in
	*" $_name="*)	die "$1 is the second $_name: name one of each in KVML_KVM=" ;;
	esac
	_id=$(id_of "$1") || return
	ALL="$ALL $_name=$_id"
}

has()
{
	case $ALL in
	*" $1="*)	return 0 ;;
	esac
	return 1
}

ALL=
for named; do
	files=$named
	[ ! -d "$named" ] || files=$(modules_in "$named")
	[ -n "$files" ] || die "there is no kvm.ko in $named: name the folder that KVM's modules are in, in KVML_KVM="
	for file in $files; do
		[ -f "$file" ] || die "there is no $file: KVML_KVM= takes the absolute paths of KVM's modules and of the kernel"
		take "$file" || die "$file does not have one build ID$(why): name KVM's modules, or vmlinux, in KVML_KVM="
	done
done
for folder in "$OBJTREE"/arch/*/kvm "$ROOT/lib/modules/$RELEASE"/kernel/arch/*/kvm; do
	case $ALL in
	*' kvm'*)	break ;;
	esac
	for file in $(modules_in "$folder"); do
		take "$file" || :
	done
done
for file in "$OBJTREE/vmlinux" "$ROOT/boot/vmlinuz-$RELEASE" "$ROOT/lib/modules/$RELEASE/vmlinuz" \
	    "$ROOT/usr/lib/debug/boot/vmlinux-$RELEASE" "$ROOT/usr/lib/debug/lib/modules/$RELEASE/vmlinux"; do
	has kernel || [ ! -f "$file" ] || take "$file" || :
done

unknown()
{
	echo "kvm_lifecycle: warning: the build ID of $1 is not known$(why), and the module will not open $2: build it again with KVML_KVM=/path/to/$3" >&2
}

case $KVM in
m)	has kvm || unknown kvm 'any of its files' "KVM's modules"
	# Of a file of UNSAFE=1 alone.
	[ -z "${UNSAFE:-}" ] || has kernel || unknown "the kernel $RELEASE" 'the file iommu' vmlinux ;;
*)	has kernel || unknown "the kernel $RELEASE, which KVM is built into," 'any of its files' vmlinux ;;
esac

cat <<-END
	/* SPDX-License-Identifier: GPL-2.0-only */
	/* Made by identity.sh. */
	#define KVML_BUILT_FOR "${ALL# }"
END
