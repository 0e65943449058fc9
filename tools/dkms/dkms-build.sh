#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# dkms-build.sh ACTION RELEASE HEADERS [ARCH]: the modules of the package whose dkms.conf
# is here, for the kernel RELEASE, e.g. 7.3.4+deb13-amd64, with its HEADERS, e.g.
# /lib/modules/7.3.4+deb13-amd64/build.
#
#   failed	has the same build failed before?  The reason is printed
#   check	look for the prerequisites; changes nothing, and takes no time
#   prepare	lay the source of KVM over links to the headers; for kvm-lifecycle-kvm, patch it
#   compile	build, and check the modules against the kernel
#   keep	sign KVM's modules, and keep them with those that DKMS has built
#   stage	make what is to be installed, all of it, where no kernel looks
#   installed	put it in its place, or take everything back
#   whole	is each installed module as it was built?
#   removed	take KVM's modules away again
#
# Status 77: a skip, with one sentence: the reason and the remedy.
#
# KERNEL_SOURCE=path takes this source in place of Debian's linux-source.  KVML_KVM=path
# compiles kvm_lifecycle alone, for the KVM that is there; UNSAFE=1 with what drives KVM.
# BUILD_JOBS=number compiles that many files at a time.

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/dkms/dkms-host.sh"
. "$TOP/tools/dkms/dkms-signature.sh"
. "$TOP/tools/dkms/dkms-place.sh"

PROG=kvm-lifecycle
ACTION=$1 RELEASE=$2 HEADERS=$3 ARCH=${4:-$(uname -m)}
kernel_files "$RELEASE"
# Here DKMS has the modules of this kernel, and its mark that they are installed.
BUILT=$DKMS/$NAME/$VERSION/$RELEASE/$ARCH
ACTIVE=$DKMS/$NAME/kernel-$RELEASE-$ARCH
AGAIN="dkms install $NAME/$VERSION -k $RELEASE"
CONFIG=$HEADERS/.config
SRC=$TOP/linux/src OBJ=$TOP/linux/obj
REASON=$TOP/linux/reason
# The room that a build takes, in MiB.
SPACE=400
# A quarter of the CPUs compiles.
JOBS=${BUILD_JOBS:-$((($(nproc) + 3) / 4))}
KERNEL_SOURCE=${KERNEL_SOURCE:-}
KVML_KVM=${KVML_KVM:-}

# The part of a series that modules can carry: KVM itself, and headers.  The rest
# is in the kernel's image, or is not code.
PARTS='^(virt/kvm|arch/x86/(kvm|include)|include/(linux|uapi|trace))/'
# Laid over the headers as a whole; kvm_lifecycle reads those of the IOMMU.
FOLDERS='virt/kvm arch/x86/kvm drivers/iommu/amd'
# The modules, and a file of each that gets its MODULE_VERSION().
MODULES='kvm:virt/kvm/kvm_main.c kvm-amd:arch/x86/kvm/svm/svm.c kvm-intel:arch/x86/kvm/vmx/vmx.c'
# What is put in place as one, and its folder.
PLACED=$(for module in $MODULES; do echo "${module%:*}"; done)
FROM=$BUILT/kvm

skip()
{
	echo "$PROG: $*" >&2
	[ "$ACTION" != prepare ] || echo "$PROG: $*" >"$REASON"
	[ -z "${lasting:-}" ] || remember "$*"
	exit 77
}

# The versions that a build is made of.
versions()
{
	echo "kvm-lifecycle $VERSION linux $(version_of "linux-headers-$RELEASE")"
}

# remember SENTENCE: a build of the same would end the same.
remember()
{
	mkdir -p "${RECORD%/*}"
	{
		versions
		echo "$1"
	} >"$RECORD.tmp"
	mv "$RECORD.tmp" "$RECORD"
}

failed_before()
{
	[ "$(head -n 1 "$RECORD" 2>/dev/null)" = "$(versions)" ] && tail -n +2 "$RECORD"
}

x86()
{
	grep -q '^CONFIG_X86_64=y' "$CONFIG"
}

# Is KVM itself the package's?
kvm()
{
	[ "$NAME" = kvm-lifecycle-kvm ]
}

# version_of PACKAGE: of one that is installed.
version_of()
{
	dpkg-query -W -f '${db:Status-Status} ${Version}\n' "$1" 2>/dev/null |
	sed -n 's/^\(installed\|unpacked\|half-configured\|triggers-[a-z]*\) //p'
}

check_config()
{
	for option in KVM:ym KPROBES:y DEBUG_FS:y $(! kvm || echo KVM:m KVM_AMD:m KVM_INTEL:m); do
		grep -q "^CONFIG_${option%:*}=[${option#*:}]" "$CONFIG" || {
			case $option in
			*:m)	skip "$RELEASE has no module for CONFIG_${option%:*}, so there is nothing to replace" ;;
			*)	skip "$RELEASE is configured without CONFIG_${option%:*}: use another flavour of the kernel" ;;
			esac
		}
	done
}

# $source: the source of the very kernel that is installed, a folder or an archive.
find_source()
{
	if [ -n "$KERNEL_SOURCE" ]; then
		version=$(kernel_version "$KERNEL_SOURCE") ||
			skip "KERNEL_SOURCE=$KERNEL_SOURCE is not a Linux kernel tree: give the folder with the kernel's top Makefile"
		case $RELEASE in
		"$version"|"$version"[!0-9.]*) ;;
		*)	skip "KERNEL_SOURCE=$KERNEL_SOURCE is $version and the kernel is $RELEASE: give the source of this kernel" ;;
		esac
		source=$KERNEL_SOURCE
		return
	fi

	headers=$(version_of "linux-headers-$RELEASE")
	image=$(version_of "linux-image-$RELEASE")
	image=${image:-$(version_of "linux-image-$RELEASE-unsigned")}
	[ -n "$headers" ] ||
		skip "$RELEASE does not come from a Debian package: give its source with KERNEL_SOURCE=path"
	[ "${image:-$headers}" = "$headers" ] ||
		skip "linux-image-$RELEASE is $image and linux-headers-$RELEASE is $headers: apt install linux-headers-$RELEASE=$image"
	package=linux-source-$series
	have=$(version_of "$package")
	[ -n "$have" ] ||
		skip "the source of $RELEASE is not installed: apt install $package=$headers"
	[ "$have" = "$headers" ] ||
		skip "$package is $have and $RELEASE is $headers: apt install $package=$headers"
	source=$ROOT/usr/src/$package.tar.xz
	[ -f "$source" ] ||
		skip "$package has no $source: apt install --reinstall $package=$headers"
}

check_kernel()
{
	series=$(base_get "$(base_for "$RELEASE" || :)" series 2>/dev/null) ||
		skip "there is no series for $RELEASE, but for $(for base in $(bases); do base_get "$base" series; done | paste -sd' ')"
	BASE=$(base_for "$RELEASE")
	[ -f "$CONFIG" ] ||
		skip "the headers of $RELEASE are not installed: apt install linux-headers-$RELEASE"
	! kvm || x86 ||
		skip "on arm64 KVM is part of the kernel's image, which no module replaces: build a kernel with the series (make arm64-kernel-deb in the project); the observer alone is kvm-lifecycle-dkms"
	check_config
	check_signatures
	room "$ROOT/lib/modules" "$SPACE_LIB"
	if x86; then
		[ ! -d "$DKMS" ] || room "$DKMS" "$SPACE"
		COMMON=$(readlink -f "${HEADERS%/*}/source")
		[ -f "$COMMON/Makefile" ] ||
			skip "the headers of $RELEASE are not laid out as Debian's: build a kernel with the series instead"
		find_source
	fi
}

# The changes of a series in the modules, except those left out on purpose.
patches()
{
	kvm || return 0
	for patch in $(series_files "$BASE" "$(kernel_version "$COMMON")"); do
		! grep -q "^$(slug_of "$patch")[[:space:]]" "$TOP/patches/$BASE/dkms" 2>/dev/null || continue
		! series_paths "$patch" | grep -qE "$PARTS" || echo "$patch"
	done
}

# The hunks of a patch that are for the modules, through patch(1) with ARGS.
hunks()
{
	_patch=$1
	shift
	awk -v parts="$PARTS" '/^diff --git / { keep = substr($3, 3) ~ parts } keep' "$_patch" |
	patch -p1 --force --fuzz=0 --no-backup-if-mismatch --silent "$@"
}

# The same headers as links, which files of the source can replace one by one.
overlay()
{
	mkdir -p "$SRC" "$OBJ"
	set -- $(patches)
	[ $# -gt 0 ] || ! kvm || skip "patches/$BASE has nothing for the modules of $RELEASE"
	files=$(series_paths "$@" </dev/null | grep -E "$PARTS") || :
	rt_patches
	cp -as "$COMMON/." "$SRC"
	cp -as "$(readlink -f "$HEADERS")/." "$OBJ"
	rm "$OBJ/Makefile"
	if [ -d "$source" ]; then
		(cd "$source" && tar -c --exclude='*.o' --exclude='*.ko' --exclude='*.cmd' --exclude='*.mod*' $FOLDERS \
			$(ls -d $files 2>/dev/null)) | tar -x -C "$SRC"
	else
		# A file that the series adds is not in there.
		log=$(tar -xJf "$source" -C "$SRC" --strip-components=1 \
			$(echo $FOLDERS $files | tr ' ' '\n' | sed "s#^#linux-source-$series/#") 2>&1) ||
			! echo "$log" | grep -vE 'Not found in archive|previous errors'
	fi || skip "cannot unpack $source: apt install --reinstall $package=$headers"
}

# PREEMPT_RT is a patch of its own in some of Debian's kernels.
rt_patches()
{
	case $COMMON:$KERNEL_SOURCE in
	*-rt:)	;;
	*)	return 0 ;;
	esac
	rt=$ROOT/usr/src/linux-patch-$series-rt.patch.xz
	[ -f "$rt" ] || skip "the source of $RELEASE has a patch for PREEMPT_RT that is not in $rt: give the patched source with KERNEL_SOURCE=path, or use another flavour of the kernel"
	changed=$(xz -dc "$rt" | sed -n 's#^+++ b/\([^[:space:]]*\).*#\1#p' | sort -u)
	both=$(echo "$changed" | grep -E "^((virt|arch/x86)/kvm/|($(echo "$files" | paste -sd'|'))\$)" | head -n 3 | paste -sd' ')
	[ -z "$both" ] || skip "PREEMPT_RT of $RELEASE changes files of KVM ($both): use another flavour of the kernel"
}

# Leave out patches that the kernel has; backwards, as a later patch may have
# changed the lines of an earlier one.
apply()
{
	have=$TOP/linux/have
	for file in $files; do
		[ ! -f "$SRC/$file" ] || (cd "$SRC" && mkdir -p "$have" && cp --parents "$file" "$have")
	done
	there=
	for patch in $(patches | tac); do
		! hunks "$patch" -d "$have" -R --dry-run >/dev/null 2>&1 || {
			hunks "$patch" -d "$have" -R
			there="$there $(slug_of "$patch")"
		}
	done
	for patch in $(patches); do
		slug=$(slug_of "$patch")
		case " $there " in
		*" $slug "*)
			echo "there already: $slug"
			continue ;;
		esac
		why=$(hunks "$patch" -d "$SRC" --dry-run 2>&1) ||
			skip "$slug does not apply to $RELEASE: $(echo "$why" | head -n 1)"
		hunks "$patch" -d "$SRC"
		echo "applied: $slug"
		applied="${applied:-} $patch"
	done
	[ -n "${applied:-}" ] || skip "$RELEASE has all patches already: nothing is left to do"
}

# Each module names its version and its patches.
mark()
{
	{
		echo
		echo "MODULE_VERSION(\"$VERSION\");"
		for patch in $applied; do
			awk -v slug="$(slug_of "$patch")" '
			/^Subject: /		{ text = $0; next }
			text && /^[ \t]/	{ text = text $0; next }
			text	{
				sub(/^Subject: (\[[^]]*\] )?/, "", text)
				gsub(/["\\]/, "\\\\&", text)
				print "MODULE_INFO(kvm_lifecycle, \"" slug " " text "\");"
				exit
			}' "$patch"
		done
	} >"$TOP/linux/mark"
	for module in $MODULES; do
		cat "$TOP/linux/mark" >>"$SRC/${module#*:}"
	done
}

prepare_source()
{
	behind_all
	rm -rf "$TOP/linux"
	mkdir "$TOP/linux"
	check_kernel
	room "$TOP" "$SPACE"
	if x86; then
		overlay
		! kvm || {
			lasting=yes
			apply
			mark
		}
	fi
	touch "$TOP/linux/prepared"
}

# Or is there one already that kvm_lifecycle is for?
compiles_kvm()
{
	kvm && [ -z "$KVML_KVM" ]
}

# The modules can be loaded by the kernel that they were built for.  modpost has
# checked the symbols that they take from there.
verify()
{
	for module in kvm_lifecycle $(! compiles_kvm || echo $PLACED); do
		file=$TOP/$module.ko
		[ "$(modinfo -F vermagic "$file" | cut -d' ' -f1)" = "$RELEASE" ] ||
			die "$file is for $(modinfo -F vermagic "$file") and not for $RELEASE"
	done
	# A module of the kernel that knows KVM, and refuses one whose structures differ.
	if ! compiles_kvm || ! grep -q '^CONFIG_MODVERSIONS=y' "$CONFIG"; then
		return
	fi
	awk '
	$2 !~ /^kvm_(page|write)_track_/	{ next }
	NR == FNR				{ crc[$2] = $1; next }
	crc[$2] != $1	{ print "kvm-lifecycle: kvmgt of this kernel cannot be loaded with this KVM: " $2 "() is another one" }
	' "$HEADERS/Module.symvers" "$SRC/arch/x86/kvm/Module.symvers"
}

compile_modules()
{
	behind_all
	[ -e "$TOP/linux/prepared" ] || {
		cat "$REASON" >&2
		exit 77
	}
	trap 'compiled $?' EXIT
	if compiles_kvm; then
		make -C "$SRC" O="$OBJ" M="$SRC/arch/x86/kvm" -j"$JOBS" modules
		for module in $PLACED; do
			cp "$SRC/arch/x86/kvm/$module.ko" "$TOP/"
		done
		# That of the modules which were just built; else it is the kernel's own.
		KVML_KVM=$TOP
	fi
	if x86; then set -- "$SRC" O="$OBJ"; else set -- "$HEADERS"; fi
	make -C "$@" M="$TOP" -j"$JOBS" KVML_KVM="$KVML_KVM" UNSAFE="${UNSAFE:-}" modules
	verify
}

# compiled STATUS: DKMS has the output in make.log until it builds for another kernel.
compiled()
{
	if [ "$1" -eq 0 ]; then
		rm -f "$RECORD" "$RECORD.log"
	elif grep -qs 'No space left on device' "$TOP/make.log"; then
		echo "$PROG: the disk is full: make room in $TOP, then $AGAIN" >&2
	else
		remember "the build failed$(! kvm || echo ', and the kernel keeps its own KVM'): see $RECORD.log; once this is mended, $AGAIN"
		cp "$TOP/make.log" "$RECORD.log" 2>/dev/null || :
		echo "$PROG: $(failed_before)" >&2
	fi
}

# DKMS strips, signs and compresses its own.
keep_modules()
{
	kvm || return 0
	rm -rf "$FROM" "$FROM.tmp"
	mkdir "$FROM.tmp"
	for module in $PLACED; do
		file=$FROM.tmp/$module.ko
		cp "$TOP/$module.ko" "$file"
		strip -g "$file"
		sign "$file" || echo "$PROG: cannot sign ${file##*/}, see above"
	done
	mv -T "$FROM.tmp" "$FROM"
}

# Whatever can fail fails here, and nothing is installed then.
stage()
{
	! kvm || discard
	check_signatures
	room "$ROOT/lib/modules" "$SPACE_LIB"
	for file in "$BUILT"/module/kvm_lifecycle.ko* $(! kvm || ls "$FROM"/*.ko); do
		may_load "$file" ||
			die "$file is not signed: see dkms' output, mend what it signs with, then dkms unbuild $NAME/$VERSION -k $RELEASE && $AGAIN"
	done
	! kvm || to_stage
}

whole()
{
	for file in "$BUILT"/module/kvm_lifecycle.ko*; do
		cmp -s "$file" "$LIB/updates/dkms/${file##*/}" || return
	done
	! kvm || is_placed
}

removed()
{
	kvm || return 0
	take_away
	refresh_initramfs
}

# DKMS does not look at the status of this one.
installed()
{
	if ! kvm; then
		! whole || return 0
	elif put_in_place && whole; then
		discard
		refresh_initramfs
		return
	fi
	rm -f "$LIB"/updates/dkms/kvm_lifecycle.ko* "$ACTIVE"
	! kvm || take_away
	die "the modules of $RELEASE could not be installed, and none of them is: make room in $ROOT/lib/modules, then $AGAIN"
}

case $ACTION in
failed)		failed_before ;;
check)		check_kernel ;;
prepare)	prepare_source ;;
compile)	compile_modules ;;
keep)		keep_modules ;;
stage)		stage ;;
installed)	installed ;;
whole)		whole ;;
removed)	removed ;;
*)		die "dkms-build.sh failed|check|prepare|compile|keep|stage|installed|whole|removed RELEASE HEADERS [ARCH]" ;;
esac
