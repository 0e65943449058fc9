#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# check-dkms.sh: the scripts of the DKMS package, on kernels that are made up here,
# without a compiler, DKMS or root: headers of a few lines, whose Makefile makes
# files of text that our modinfo reads, and sources that a series of four patches
# is made for.

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/testing/tap.sh"

no_settings

RELEASE=7.3.4+t-amd64
SOURCE="linux-source-7.3"
LIB=$WORK/root/lib/modules/$RELEASE
VERSION=$(sed -n '1s/.*(\(.*\)).*/\1/p' "$TOP/debian/changelog")

# package NAME: the one that is looked at.
package()
{
	NAME=$1
	DKMS=$WORK/root/var/lib/dkms/$NAME
	BUILT=$DKMS/$VERSION/$RELEASE/x86_64
	ACTIVE=$DKMS/kernel-$RELEASE-x86_64
	RECORD=$WORK/root/var/lib/$NAME/$RELEASE
}

# Installed files must be as they were, after any build.
state()
{
	(cd "$WORK/root" && find . -path ./var -prune -o -type f -exec sha256sum {} + -o -type l -printf '%p %l\n' | sort)
}

# fake COMMAND: a command of the host, from standard input.
fake()
{
	mkdir -p "$WORK/bin"
	{ echo '#!/bin/sh'; cat; } >"$WORK/bin/$1"
	chmod +x "$WORK/bin/$1"
}

fake_dkms()
{
	# As far as our scripts go.  A status of 10 or 101 is that of the real one.
	fake dkms <<-END
		build()
		{
			KVM_LIFECYCLE_ROOT=$WORK/root "$WORK/project/tools/dkms/dkms-build.sh" \$1 $RELEASE "$LIB/build" x86_64
		}
		case \$1 in
		--version)
			echo dkms-3.2.2 ;;
		status)	[ ! -e "$ACTIVE" ] || echo "$NAME/$VERSION, $RELEASE, x86_64: installed" ;;
		uninstall)
			rm -f "$ACTIVE" "$LIB/updates/dkms/kvm_lifecycle.ko"
			build removed
			depmod ;;
		install)
			echo "\$*" >>"$WORK/builds"
			build prepare >"$WORK/make.log" 2>&1 || exit
			build compile >>"$WORK/project/make.log" 2>&1 || exit 10
			mkdir -p "$BUILT/module" "$LIB/updates/dkms"
			cp "$WORK/project/kvm_lifecycle.ko" "$BUILT/module/"
			build keep
			build stage || exit 101
			cp "$BUILT/module/kvm_lifecycle.ko" "$LIB/updates/dkms/"
			ln -sfn "$VERSION/$RELEASE/x86_64" "$ACTIVE"
			build installed
			depmod ;;
		esac
	END
}

fakes()
{
	fake dpkg-query <<-END
		for package; do :; done
		grep "^\$package " "$WORK/packages" | cut -d' ' -f2- | grep .
	END
	fake modinfo <<-'END'
		sed -n "s/^$2=//p" "$3"
	END
	fake mokutil <<-END
		[ ! -e "$WORK/no-mokutil" ] || exit 127
		cat "$WORK/mokutil\$1" 2>/dev/null
	END
	fake ischroot <<-END
		[ -e "$WORK/chroot" ]
	END
	fake uname <<-END
		case \$1 in
		-m)	echo x86_64 ;;
		*)	echo $RELEASE ;;
		esac
	END
	fake strip </dev/null
	fake depmod <<-END
		cd "$LIB" && find updates kernel -name '*.ko*' 2>/dev/null |
		awk '{ name = \$0; sub(/.*\//, "", name); sub(/\.ko.*/, "", name) } !seen[name]++ { print \$0 ": x" }' >modules.dep
	END
	fake lsinitramfs <<-END
		cat "$WORK/initramfs" 2>/dev/null
	END
	fake lsinitrd <<-END
		exit 127
	END
	fake update-initramfs <<-END
		[ ! -e "$WORK/no-room" ] && sed -n 's#^\\(.*/kvm[^:]*\\):.*#usr/lib/modules/$RELEASE/\\1#p' "$LIB/modules.dep" >"$WORK/initramfs"
	END
	PATH=$WORK/bin:$PATH
}

# packages VERSION-OF-IMAGE VERSION-OF-SOURCE: the packages that dpkg has as installed.
packages()
{
	{
		echo "linux-image-$RELEASE installed $1"
		echo "linux-headers-$RELEASE installed 7.3.4-1"
		[ -z "$2" ] || echo "$SOURCE installed $2"
	} >"$WORK/packages"
}

# kernel_with OPTION...: the installed kernel and its headers.
kernel_with()
{
	common=$WORK/root/usr/src/linux-headers-7.3.4-common
	headers=$WORK/root/usr/src/linux-headers-$RELEASE
	lib=$WORK/root/lib/modules/$RELEASE
	rm -rf "$WORK/root"
	mkdir -p "$common/include/linux" "$headers" "$lib/kernel/arch/x86/kvm" "$WORK/root/var/lib/dkms" \
		"$WORK/root/sys/module" "$WORK/root/proc" "$WORK/root/etc/default" "$WORK/root/etc/dkms"
	printf '%s\n' "$@" >"$headers/.config"
	printf '# not this one\n' >"$headers/Makefile"
	: >"$headers/Module.symvers"
	printf 'one\ntwo\nthree\n' >"$common/include/linux/kvm_host.h"
	{
		makefile_of 7.3.4
		printf 'MODULES = %s\n' '$(if $(findstring arch/x86/kvm,$(M)),kvm kvm-amd kvm-intel,kvm_lifecycle)'
		printf 'modules: ; @for m in $(MODULES); do { echo "vermagic=%s SMP"; echo "KVM=$(KVML_KVM)"; echo "UNSAFE=$(UNSAFE)"; } >$(M)/$$m.ko; done\n' "$RELEASE"
		printf '\t@: >$(M)/Module.symvers\n'
	} >"$common/Makefile"
	ln -s "$headers" "$lib/build"
	ln -s "$common" "$lib/source"
	for module in kvm kvm-amd kvm-intel; do
		printf 'vermagic=%s SMP\n' "$RELEASE" >"$lib/kernel/arch/x86/kvm/$module.ko.xz"
	done
	depmod
	packages 7.3.4-1 7.3.4-1
	archive
}

x86_kernel()
{
	kernel_with CONFIG_X86_64=y CONFIG_KPROBES=y CONFIG_DEBUG_FS=y CONFIG_KVM=m CONFIG_KVM_AMD=m CONFIG_KVM_INTEL=m
}

# source_tree: the source of this kernel, in $WORK/source.
source_tree()
{
	rm -rf "$WORK/source"
	mkdir -p "$WORK/source"
	for file in virt/kvm/kvm_main.c arch/x86/kvm/svm/svm.c arch/x86/kvm/vmx/vmx.c drivers/iommu/amd/iommu.c \
		    include/linux/kvm_host.h arch/arm64/kvm/arm.c; do
		mkdir -p "$WORK/source/$(dirname "$file")"
		printf 'one\ntwo\nthree\n' >"$WORK/source/$file"
	done
	cp "$common/Makefile" "$WORK/source/Makefile"
}

archive()
{
	[ -d "$WORK/source" ] || source_tree
	tar -C "$WORK" -cJf "$WORK/root/usr/src/$SOURCE.tar.xz" --transform "s#^source#$SOURCE#" source
}

# patch_of NUMBER NAME LINE FILE...: a patch of the series, which changes this line.
patch_of()
{
	_patch=$WORK/project/patches/v7.3/$1-$2.patch
	_line=$3
	printf 'From 0000\nSubject: [PATCH %s/4] KVM: Change\n "%s"\n\n---\n' "$1" "$_line" >"$_patch"
	shift 3
	for file; do
		printf 'diff --git a/%s b/%s\n--- a/%s\n+++ b/%s\n@@ -1,3 +1,3 @@\n' "$file" "$file" "$file" "$file"
		printf 'one\ntwo\nthree\n' | sed "s/^/ /; s/^ $_line\$/-$_line\n+changed $_line/"
	done >>"$_patch"
}

project()
{
	rm -rf "$WORK/project"
	mkdir -p "$WORK/project"
	cp -r "$TOP/tools" "$TOP/patches" "$TOP/Kbuild" "$WORK/project/"
	cp "$TOP/debian/$NAME-dkms.dkms" "$WORK/project/dkms.conf"
	fake_dkms
	rm -rf "$WORK"/project/patches/v7.3/[0-9]*
	patch_of 0001 main one virt/kvm/kvm_main.c arch/arm64/kvm/arm.c
	patch_of 0002 header two include/linux/kvm_host.h arch/x86/kvm/svm/svm.c
	patch_of 0003 arm64 two arch/arm64/kvm/arm.c
	patch_of 0004 excluded three virt/kvm/kvm_main.c
	printf 'excluded\tmade up\n' >"$WORK/project/patches/v7.3/dkms"
	rm -f "$WORK"/mokutil*
}

# build ACTION: as dkms.conf has DKMS call it.
build()
{
	setsid env STEP_AT="${at:-}" STEP_DOES="${does:-}" KVM_LIFECYCLE_ROOT="$WORK/root" "$WORK/project/tools/dkms/dkms-build.sh" "$1" "$RELEASE" "$lib/build" x86_64
}

# skips NAME REGEXP ACTION: status 77 and one sentence; installed files are left alone.
skips()
{
	refuses "$1" "^kvm-lifecycle: .*$2" build "$3"
	status=0
	build "$3" >"$WORK/output" 2>&1 || status=$?
	[ "$status" -eq 77 ] || {
		echo "exit status $status" >>"$WORK/output"
		result bad "$1: status 77"
	}
}

# answers NAME STATUS REGEXP: the output of kvm-lifecycle-status on the made-up host.
answers()
{
	status=0
	env KVM_LIFECYCLE_ROOT="$WORK/root" "$WORK/project/tools/dkms/dkms-status.sh" >"$WORK/output" 2>&1 || status=$?
	if [ "$status" -eq "$2" ] && grep -qE "$3" "$WORK/output"; then
		result ok "status: $1"
	else
		echo "exit status $status; wanted $2 and a line that matches: $3" >>"$WORK/output"
		result bad "status: $1"
	fi
}

# A build that must leave the headers alone.
builds()
{
	before=$(state)
	build "$1" && [ "$before" = "$(state)" ]
}

missing()
{
	x86_kernel
	packages 7.3.4-1 7.3.3-1
	skips 'source of another version' "$SOURCE is 7\.3\.3-1 and .* is 7\.3\.4-1: apt install $SOURCE=7\.3\.4-1" check
	packages 7.3.4-1 ''
	skips 'no source' "the source of .* is not installed: apt install $SOURCE=7\.3\.4-1" check
	packages 7.3.5-1 7.3.4-1
	skips 'headers of another version' "linux-image-.* is 7\.3\.5-1 and linux-headers-.* is 7\.3\.4-1: apt install linux-headers-.*=7\.3\.5-1" check
	: >"$WORK/packages"
	skips 'a kernel that is not from a package' 'does not come from a Debian package: give its source with KERNEL_SOURCE' check
	packages 7.3.4-1 7.3.4-1
	mv "$WORK/root/usr/src/$SOURCE.tar.xz" "$WORK/tar"
	skips 'a package without its file' "has no .*: apt install --reinstall $SOURCE=7\.3\.4-1" check
	head -c 200 "$WORK/tar" >"$WORK/root/usr/src/$SOURCE.tar.xz"
	skips 'a half-unpacked source' "cannot unpack .*: apt install --reinstall $SOURCE=7\.3\.4-1" prepare
	skips 'and it is the reason why nothing is built' 'cannot unpack' compile
	rm "$lib/build"
	skips 'no headers' "the headers of .* are not installed: apt install linux-headers-" check
	kernel_with CONFIG_X86_64=y CONFIG_KPROBES=y CONFIG_DEBUG_FS=y CONFIG_KVM=y
	skips 'KVM in the image' 'has no module for CONFIG_KVM, so' check
	kernel_with CONFIG_X86_64=y CONFIG_KPROBES=y CONFIG_KVM=m CONFIG_KVM_AMD=m CONFIG_KVM_INTEL=m
	skips 'a flavour that lacks something' 'is configured without CONFIG_DEBUG_FS: use another flavour' check
	kernel_with CONFIG_ARM64=y CONFIG_KPROBES=y CONFIG_DEBUG_FS=y CONFIG_KVM=y
	skips 'KVM on arm64' "on arm64 KVM is part of the kernel's image, .* the observer alone is kvm-lifecycle-dkms" check
	package kvm-lifecycle
	project
	accepts 'arm64: the observer needs no source' build check
	sed 's/,kvm kvm-amd kvm-intel,/,nothing,/' "$common/Makefile" >"$headers/Makefile"
	accepts 'arm64: prepare' builds prepare
	accepts 'arm64: kvm_lifecycle is built' builds compile
	accepts 'arm64: alone' test -f "$WORK/project/kvm_lifecycle.ko" -a ! -e "$WORK/project/kvm.ko"
	package kvm-lifecycle-kvm
	project
	RELEASE=5.10.1-amd64
	skips 'a kernel without a series' 'there is no series for 5\.10\.1-amd64, but for .*7\.3' check
	RELEASE=7.3.4+t-amd64
}

# efi_variable NAME BYTE
efi_variable()
{
	mkdir -p "$WORK/root/sys/firmware/efi/efivars"
	printf '\006\0\0\0%b' "\\0$2" >"$WORK/root/sys/firmware/efi/efivars/$1-8be4df61"
}

# demands NAME REGEXP: the kernel wants a signature by a key that it knows.
demands()
{
	skips "signatures: $1" "$2, and without EFI the kernel cannot be told of DKMS' key: build a kernel" check
	efi_variable SecureBoot "${3:-0}"
	: >"$WORK/no-mokutil"
	skips "signatures: $1, without mokutil" "$2, and whether .* cannot be told: apt install mokutil" check
	rm "$WORK/no-mokutil"
	accepts "signatures: $1, before DKMS has a key" build check
	skips "signatures: $1, and no key can be made" "$2 and DKMS has no key to sign with: apt install openssl" prepare
	: >"$WORK/root/var/lib/dkms/mok.pub"
	echo 'mok.pub is not enrolled' >"$WORK/mokutil--test-key"
	skips "signatures: $1, and DKMS' key is unknown" "$2 and .* mokutil --import .*/mok\.pub, reboot and enrol it" check
	echo 'mok.pub is already enrolled' >"$WORK/mokutil--test-key"
	accepts "signatures: $1, and DKMS' key is known" build check
	x86_kernel
	rm -f "$WORK"/mokutil--*
}

signatures()
{
	x86_kernel
	mkdir -p "$WORK/root/sys/module/module/parameters"
	echo Y >"$WORK/root/sys/module/module/parameters/sig_enforce"
	demands 'enforced' 'module\.sig_enforce is on'
	echo 'BOOT_IMAGE=/vmlinuz ro module.sig_enforce=1 quiet' >"$WORK/root/proc/cmdline"
	demands 'enforced by the command line' 'module\.sig_enforce is on'
	printf '# module.sig_enforce\nGRUB_CMDLINE_LINUX="module.sig_enforce"\n' >"$WORK/root/etc/default/grub"
	demands 'enforced from the next boot on' 'module\.sig_enforce is on'
	mkdir -p "$WORK/root/sys/kernel/security"
	echo 'none [integrity] confidentiality' >"$WORK/root/sys/kernel/security/lockdown"
	demands 'a kernel that is locked down' 'the kernel is locked down'
	echo 'quiet lockdown=confidentiality' >"$WORK/root/proc/cmdline"
	demands 'locked down by the command line' 'the kernel is locked down'
	echo CONFIG_LOCK_DOWN_KERNEL_FORCE_INTEGRITY=y >>"$headers/.config"
	skips 'signatures: a kernel that is always locked down' 'the kernel is locked down, and' check
	x86_kernel
	echo CONFIG_MODULE_SIG_FORCE=y >>"$headers/.config"
	skips 'signatures: a kernel that never takes others' 'loads signed modules alone, and' check

	x86_kernel
	efi_variable SecureBoot 1
	: >"$WORK/no-mokutil"
	skips 'signatures: Secure Boot without mokutil' 'Secure Boot is on, and whether .*: apt install mokutil' check
	rm "$WORK/no-mokutil"
	skips 'signatures: Secure Boot and no key' 'Secure Boot is on and DKMS has no key' prepare
	efi_variable MokSBStateRT 1
	accepts 'signatures: Secure Boot that shim does not enforce' build check

	x86_kernel
	mkdir -p "$WORK/root/sys/firmware/efi/efivars"
	skips 'signatures: EFI variables that are not there' 'the EFI variables, .*, cannot be read \(mount -t efivarfs ' check
	x86_kernel
	: >"$WORK/chroot"
	skips 'signatures: a chroot' 'this is an image or a chroot, .*: install on the host itself, or touch .*/kvm-lifecycle\.unsigned ' check
	rm "$WORK/chroot"
	rmdir "$WORK/root/sys/module"
	skips 'signatures: an image' 'this is an image or a chroot' check
	: >"$WORK/root/etc/dkms/kvm-lifecycle.unsigned"
	accepts "signatures: an image, with the administrator's word" build check
	echo 'module.sig_enforce=1' >"$WORK/root/proc/cmdline"
	skips 'signatures: which does not count against a kernel that says no' 'module\.sig_enforce is on' check
	x86_kernel
	echo '[none] integrity confidentiality' >"$WORK/root/proc/cmdline"
	echo 'module.sig_enforce=0 nolockdown=integrity' >>"$WORK/root/proc/cmdline"
	mkdir -p "$WORK/root/sys/module/module/parameters"
	echo N >"$WORK/root/sys/module/module/parameters/sig_enforce"
	efi_variable SecureBoot 0
	accepts 'signatures: none are needed' build check
}

series()
{
	x86_kernel
	linux=$WORK/project/linux
	accepts 'the source is laid over the headers, which stay as they are' builds prepare
	said 'a patch is applied' '^applied: main$'
	accepts 'what the table leaves out, and what modules cannot carry, is not' \
		test "$(grep -c MODULE_INFO "$linux/mark")" -eq 2
	accepts 'in the files of the modules' grep -qx 'changed one' "$linux/src/virt/kvm/kvm_main.c"
	accepts 'and in headers' grep -qx 'changed two' "$linux/src/include/linux/kvm_host.h"
	accepts 'what else a patch changes is not unpacked' test ! -e "$linux/src/arch/arm64/kvm/arm.c"
	accepts 'each module says what is in it' \
		grep -qxF 'MODULE_INFO(kvm_lifecycle, "header KVM: Change \"two\"");' "$linux/src/arch/x86/kvm/vmx/vmx.c"
	accepts 'the Makefile is that of the headers' test "$linux/src/Makefile" -ef "$common/Makefile"
	accepts 'the modules are built' builds compile
	accepts 'all of them' test -f "$WORK/project/kvm.ko" -a -f "$WORK/project/kvm-amd.ko" \
		-a -f "$WORK/project/kvm-intel.ko" -a -f "$WORK/project/kvm_lifecycle.ko"
	accepts 'kvm_lifecycle is for these' grep -qx "KVM=$WORK/project" "$WORK/project/kvm_lifecycle.ko"

	mkdir -p "$linux/src/virt/kvm" && echo rest >"$linux/src/virt/kvm/kvm_main.c"
	rm -f "$linux/prepared"
	accepts 'after a build that was interrupted' builds prepare
	sed -i 's/-amd64 SMP/-other SMP/' "$common/Makefile"
	refuses 'modules for another kernel' 'kvm_lifecycle\.ko is for .*-other SMP and not for ' build compile

	sed -i 's/^one$/changed one/' "$WORK/source/virt/kvm/kvm_main.c"
	x86_kernel
	accepts 'a kernel that has a patch' builds prepare
	said 'leaves it out' '^there already: main$'
	said 'and takes the others' '^applied: header$'
	sed -i 's/^two$/changed two/' "$WORK/source/include/linux/kvm_host.h" "$WORK/source/arch/x86/kvm/svm/svm.c"
	x86_kernel
	skips 'a kernel that has them all' 'has all patches already' prepare
	sed -i 's/^changed one$/another one/' "$WORK/source/virt/kvm/kvm_main.c"
	x86_kernel
	skips 'a patch that does not apply' 'main does not apply to 7\.3\.4' prepare
	rm -rf "$WORK/source"
	x86_kernel

	for file in drivers/net/tun.c include/linux/kvm_host.h; do
		rm -rf "$WORK/root/usr/src/linux-headers-7.3.4-common-rt"
		cp -r "$common" "$common-rt"
		ln -sfn "$common-rt" "$lib/source"
		rm -f "$WORK/root/usr/src/linux-patch-7.3-rt.patch.xz"
		skips 'PREEMPT_RT without its patch' 'has a patch for PREEMPT_RT that is not in ' prepare
		printf -- '--- a/%s\n+++ b/%s\n' "$file" "$file" | xz >"$WORK/root/usr/src/linux-patch-7.3-rt.patch.xz"
		case $file in
		drivers*) accepts 'PREEMPT_RT that leaves KVM alone' builds prepare ;;
		*)	skips 'PREEMPT_RT that changes KVM' 'changes files of KVM \(include/linux/kvm_host\.h\)' prepare ;;
		esac
	done

	x86_kernel
	rm "$WORK/root/usr/src/$SOURCE.tar.xz"
	: >"$WORK/source/virt/kvm/kvm_main.o"
	accepts 'KERNEL_SOURCE' env KERNEL_SOURCE="$WORK/source" \
		KVM_LIFECYCLE_ROOT="$WORK/root" "$WORK/project/tools/dkms/dkms-build.sh" prepare "$RELEASE" "$lib/build"
	accepts 'without what was built in it' test ! -e "$linux/src/virt/kvm/kvm_main.o"
	refuses 'KERNEL_SOURCE that is no kernel' 'KERNEL_SOURCE=.* is not a Linux kernel tree' env KERNEL_SOURCE="$WORK/bin" \
		KVM_LIFECYCLE_ROOT="$WORK/root" "$WORK/project/tools/dkms/dkms-build.sh" check "$RELEASE" "$lib/build"
	sed -i 's/^SUBLEVEL.*/SUBLEVEL = 40/' "$WORK/source/Makefile"
	refuses 'KERNEL_SOURCE of another version' 'KERNEL_SOURCE=.* is 7\.3\.40 and the kernel is 7\.3\.4' env KERNEL_SOURCE="$WORK/source" \
		KVM_LIFECYCLE_ROOT="$WORK/root" "$WORK/project/tools/dkms/dkms-build.sh" check "$RELEASE" "$lib/build"

	if [ "$(id -u)" -eq 0 ]; then
		x86_kernel
		for folder in dkms kvm-lifecycle-kvm; do
			mkdir -p "$WORK/root/var/lib/$folder"
		done
		refuses 'a full /var' 'only [0-9]* MiB are free in .*/var/lib/dkms and 400 are needed: make room' unshare -m sh -c \
			'mount -t tmpfs -o size=24m tmpfs "$1/var" && mkdir -p "$1/var/lib/dkms" && KVM_LIFECYCLE_ROOT="$1" "$2/tools/dkms/dkms-build.sh" check "$3" "$4"' \
			sh "$WORK/root" "$WORK/project" "$RELEASE" "$lib/build"
		accepts 'a full /var: apt goes on, and the kernel keeps its own KVM' unshare -m sh -c \
			'mount -t tmpfs -o size=24m tmpfs "$1/var" && mkdir -p "$1/var/lib/dkms" && KVM_LIFECYCLE_ROOT="$1" "$2/tools/dkms/dkms-install.sh" &&
			[ ! -e "$3/updates" ]' sh "$WORK/root" "$WORK/project" "$lib"
		said 'a full /var: and the reason' '^kvm-lifecycle: .*: no patched KVM is installed .*: only [0-9]* MiB are free in .*/var/lib/dkms and 400 are needed'
		mkdir "$WORK/small"
		refuses 'a disk that is full' 'only [0-9]* MiB are free in .* and [0-9]* are needed: make room' unshare -m sh -c \
			'mount -t tmpfs -o size=24m tmpfs "$1" && cp -r "$2/." "$1" &&
			KVM_LIFECYCLE_ROOT="$3" "$1/tools/dkms/dkms-build.sh" prepare "$4" "$5"' \
			sh "$WORK/small" "$WORK/project" "$WORK/root" "$RELEASE" "$lib/build"
	else
		skipped 'a disk that is full' 'needs root to mount'
	fi
	project
}

# A command of the host that does something else when it is the step number $STEP_AT of an
# installation: it is killed with all that runs, or fails, having done a part of its work.
step_of()
{
	# Not one of an earlier call, which the shell may remember.
	real=$(PATH=${PATH#"$WORK/bin:"} && command -v "$1")
	[ "$1" != sync ] || real=true
	fake "$1" <<-END
		[ -z "\${STEP_AT:-}" ] || {
			echo "$1 \$*" >>"$WORK/steps"
			[ "\$(wc -l <"$WORK/steps")" -ne "\$STEP_AT" ] || {
				case $1 in
				cp)	head -c 5 "\$1" >"\$2/\${1##*/}" ;;
				rm)	find "\$2" -type f | head -n 1 | xargs -r $real ;;
				esac
				[ "\$STEP_DOES" != kill ] || kill -KILL 0
				exit 1
			}
		}
		exec $real "\$@"
	END
}

steps()
{
	for command in cp mv mkdir rm sync cmp rmdir; do
		step_of "$command"
	done
}

no_steps()
{
	for command in cp mv mkdir sync cmp rmdir rm; do
		/bin/rm "$WORK/bin/$command"
	done
}

# built: the modules as DKMS keeps them.
built()
{
	x86_kernel
	project
	OURS=$lib/updates/kvm-lifecycle
	mkdir -p "$BUILT/module"
	for action in prepare compile; do
		build "$action" >/dev/null 2>&1
	done
	cp "$WORK/project/kvm_lifecycle.ko" "$BUILT/module/"
	build keep
}

# dkms_install: as dkms install does it, and has done it if it succeeds.
dkms_install()
{
	build stage || return
	mkdir -p "$lib/updates/dkms"
	cp "$BUILT/module/kvm_lifecycle.ko" "$lib/updates/dkms/"
	ln -sfn "$VERSION/$RELEASE/x86_64" "$ACTIVE"
	build installed
}

# dkms_remove: as dkms uninstall does it.
dkms_remove()
{
	rm -f "$ACTIVE" "$lib"/updates/dkms/*
	rmdir "$lib/updates/dkms"
	build removed
}

# The modules that the kernel's package brought are as they were, and of ours there is each or none.
all_or_nothing()
{
	[ "$stock" = "$(cd "$lib/kernel" && find . -type f -exec sha256sum {} + | sort)" ] || return
	[ ! -e "$OURS" ] || {
		for file in "${from:-$BUILT/kvm}"/*.ko; do
			cmp "$file" "$OURS/${file##*/}" || return
		done
	}
}

# each_step kill|fail COMMAND [AGAIN WHOLE]: whatever happens in the middle of it, all or nothing is
# installed, and DKMS does not think otherwise, or the next installation is a whole one.
each_step()
{
	rm -rf "$WORK/before"
	cp -a "$WORK/root/lib/modules" "$WORK/before"
	step=0 does=$1
	while step=$((step + 1)); do
		rm -rf "$WORK/root/lib/modules"
		cp -a "$WORK/before" "$WORK/root/lib/modules"
		: >"$WORK/steps"
		at=$step
		"$2" || :
		at=
		[ "$(wc -l <"$WORK/steps")" -ge "$step" ] || break
		echo "step $step: $(tail -n 1 "$WORK/steps")"
		all_or_nothing || return
		if [ "$1" = fail ]; then
			[ ! -e "$ACTIVE" ] || build whole || return
		else
			"${3:-dkms_install}" && all_or_nothing && "${4:-build}" whole || return
			[ -z "$(find "$WORK/root/lib/modules" -name '.*')" ] || return
		fi
	done
	[ "$step" -gt 3 ]
}

installation()
{
	steps
	accepts 'installation: the modules are kept' built
	stock=$(cd "$lib/kernel" && find . -type f -exec sha256sum {} + | sort)
	before=$(state)
	accepts 'installation' dkms_install
	accepts 'installation: of each module' build whole
	accepts "installation: none is where DKMS' copies go" test ! -e "$lib/updates/dkms/kvm.ko"
	accepts 'removal: killed at each step' each_step kill dkms_remove
	accepts 'removal' dkms_remove
	accepts 'removal: all is as it was' test "$before" = "$(state)"
	accepts 'installation: killed at each step' each_step kill dkms_install
	accepts 'removal' dkms_remove
	accepts 'installation: each step fails' each_step fail dkms_install

	dkms_install >/dev/null
	cp "$OURS/kvm.ko" "$WORK/kvm.ko"
	echo >>"$OURS/kvm.ko"
	accepts 'installation: a file that is another one' test "$(build whole || echo "$?")" = 1
	dkms_remove
	rm -r "$BUILT/kvm"
	refuses 'installation: a build that is not whole' 'cannot be copied' build stage

	built
	head -c 100000 /dev/zero >>"$BUILT/kvm/kvm.ko"
	if [ "$(id -u)" -eq 0 ]; then
		small='mount -t tmpfs -o size=64k tmpfs "$1" && cp -r "$2/." "$1" && shift 2 && "$@" && exit
			status=$? && [ -z "$(find "$0" -path "*kvm-lifecycle*")" ] && exit $status'
		cp -r "$WORK/root/lib/modules" "$WORK/copy"
		fake df <<-END
			printf '\nroom 0 0 %s\n' \$((1024 * 1024))
		END
		refuses 'installation: a disk that becomes full' 'the modules of .* cannot be copied to .*: make room there, then dkms install' \
			unshare -m sh -c "$small" "$WORK/root/lib/modules" "$WORK/root/lib/modules" "$WORK/copy" \
			env KVM_LIFECYCLE_ROOT="$WORK/root" "$WORK/project/tools/dkms/dkms-build.sh" stage "$RELEASE" "$lib/build" x86_64
		rm "$WORK/bin/df"
		for action in check stage; do
			refuses "installation: a disk that is full ($action)" 'only 0 MiB are free in .*/lib/modules and 32 are needed: make room' \
				unshare -m sh -c "$small" "$WORK/root/lib/modules" "$WORK/root/lib/modules" "$WORK/copy" \
				env KVM_LIFECYCLE_ROOT="$WORK/root" "$WORK/project/tools/dkms/dkms-build.sh" "$action" "$RELEASE" "$lib/build" x86_64
		done
		rm -r "$WORK/copy"
	else
		skipped 'installation: a disk that is full' 'needs root to mount'
	fi
	no_steps
}

# sign-file of the headers, which adds the mark that the kernel looks for.
signer()
{
	mkdir -p "$headers/scripts"
	{
		echo '#!/bin/sh'
		cat
	} >"$headers/scripts/sign-file"
	chmod +x "$headers/scripts/sign-file"
	echo 'CONFIG_MODULE_SIG_HASH="sha256"' >>"$headers/.config"
	: >"$WORK/root/var/lib/dkms/mok.pub"
	: >"$WORK/root/var/lib/dkms/mok.key"
}

signing()
{
	built
	accepts 'signing: no key, and nobody asks' build stage
	built
	signer <<-'END'
		[ "$1" = sha256 ] && for file; do :; done && printf '~Module signature appended~\n' >>"$file"
	END
	build keep
	refuses 'signing: one that DKMS has not signed' 'kvm_lifecycle\.ko is not signed: .*dkms unbuild .* && dkms install' build stage
	printf '~Module signature appended~\n' | xz >"$BUILT/module/kvm_lifecycle.ko.xz"
	rm "$BUILT/module/kvm_lifecycle.ko"
	accepts 'signing: all of them' build stage
	build removed
	signer <<-'END'
		case $5 in *kvm-amd.ko) echo no key; exit 1 ;; esac
		printf '~Module signature appended~\n' >>"$5"
	END
	accepts 'signing: one fails' build keep
	said 'signing: and it is said' 'cannot sign kvm-amd\.ko'
	refuses 'signing: and nothing is installed' 'kvm-amd\.ko is not signed: ' build stage
}

# host MODULE=STATE...: the loaded modules.
host()
{
	rm -rf "$WORK/root/sys"
	mkdir -p "$WORK/root/sys/module"
	for module; do
		sys=$WORK/root/sys/module/$(echo "${module%=*}" | tr - _)
		mkdir -p "$sys"
		echo live >"$sys/initstate"
		echo 0 >"$sys/refcnt"
		case ${module#*=} in
		patched)	echo S1 >"$sys/srcversion"; echo OE >"$sys/taint" ;;
		older)		echo S0 >"$sys/srcversion"; echo OE >"$sys/taint" ;;
		stock)		echo >"$sys/taint" ;;
		foreign)	echo OE >"$sys/taint" ;;
		esac
	done
}

# patched MODULE...: is installed.
patched()
{
	mkdir -p "$lib/updates/kvm-lifecycle"
	for module; do
		printf 'srcversion=S1\nkvm_lifecycle=main KVM: Change\n' >"$lib/updates/kvm-lifecycle/$module.ko"
	done
	depmod
}

status()
{
	x86_kernel
	packages 7.3.4-1 ''
	host kvm=stock kvm-amd=stock
	answers 'nothing is installed' 4 "no patched KVM is installed .* apt install $SOURCE=7\.3\.4-1"
	answers 'and all is stock' 4 '^all of KVM +stock +stock +stock$'
	patched kvm kvm-amd kvm-intel
	host kvm=patched kvm-amd=patched
	answers 'patched' 0 '^kvm-amd +patched +patched +patched$'
	answers 'all of it' 0 '^all of KVM +patched +patched +patched$'
	answers 'not loaded' 0 '^kvm-intel +not loaded +patched +patched$'
	answers 'which patches' 0 '^patch main KVM: Change$'
	host
	answers 'nothing is loaded' 0 '^all of KVM +- +patched +patched$'
	host kvm=stock kvm-amd=stock
	answers 'stock' 2 '^kvm +stock +patched +patched$'
	answers 'how to reload' 2 'modprobe -r kvm-amd kvm && modprobe kvm-amd$'
	host kvm=patched kvm-amd=stock
	answers 'mixed' 2 '^all of KVM +mixed +patched +patched$'
	answers 'how to reload all of it' 2 'modprobe -r kvm-amd kvm && modprobe kvm-amd$'
	host kvm=older kvm-amd=older
	answers 'an older build' 2 '^kvm +other +patched +patched$'
	host kvm=foreign kvm-amd=foreign
	answers "somebody else's" 2 '^kvm +other +patched +patched$'
	host kvm=stock kvm-intel=stock
	echo 3 >"$WORK/root/sys/module/kvm_intel/refcnt"
	answers 'in use' 3 '/dev/kvm is open: reload KVM or reboot when'
	mkdir -p "$WORK/root/sys/kernel/debug/kvm/123-4"
	mkdir -p "$WORK/root/sys/kernel/debug/kvm/124-4"
	answers 'VMs' 3 '2 VMs are running'
	refuses 'status: a kernel that is not there' 'there is no kernel 1\.0 ' \
		env KVM_LIFECYCLE_ROOT="$WORK/root" "$WORK/project/tools/dkms/dkms-status.sh" -k 1.0
	accepts 'status: quietly' sh -c '[ -z "$(env KVM_LIFECYCLE_ROOT="$1" "$2" -q; [ $? -eq 3 ] || echo "$?")" ]' \
		sh "$WORK/root" "$WORK/project/tools/dkms/dkms-status.sh"
	rm "$lib/updates/kvm-lifecycle/kvm-amd.ko"
	depmod
	answers 'a part is installed' 5 '^all of KVM +stock +mixed +mixed$'
	answers 'and modprobe takes a part' 5 'modprobe does not take all of it: depmod '
}

# initramfs MODULE...: has these of the distribution's.
initramfs()
{
	mkdir -p "$WORK/root/boot"
	: >"$WORK/root/boot/initrd.img-$RELEASE"
	for module; do
		echo "usr/lib/modules/$RELEASE/kernel/arch/x86/kvm/$module.ko.xz"
	done >"$WORK/initramfs"
}

initramfs_first()
{
	x86_kernel
	project
	host kvm=stock kvm-amd=stock
	patched kvm kvm-amd kvm-intel
	initramfs
	answers 'an initramfs without KVM' 2 '^all of KVM +stock +patched +patched$'
	initramfs kvm kvm-amd kvm-intel
	answers 'an initramfs with another KVM' 5 '^all of KVM +stock +patched +stock$'
	answers 'and a reboot would not help' 5 'the next boot loads another one from .*/initrd\.img-.*: update-initramfs -u -k '
	initramfs kvm
	answers 'an initramfs with a part of it' 5 '^all of KVM +stock +patched +mixed$'
	rm "$WORK/initramfs"
	answers 'an initramfs that cannot be read' 5 '^all of KVM +stock +patched +unknown$'
	answers 'and by which command it can' 5 'cannot be told: apt install initramfs-tools-core'

	built
	initramfs kvm kvm-amd kvm-intel
	accepts 'initramfs: installation' dkms_install
	accepts 'initramfs: has our KVM now' test "$(grep -c /updates/kvm-lifecycle/ "$WORK/initramfs")" -eq 3
	accepts 'initramfs: removal' dkms_remove
	accepts "initramfs: has the distribution's again" test "$(grep -c /kernel/arch/x86/kvm/ "$WORK/initramfs")" -eq 3
	: >"$WORK/no-room"
	accepts 'initramfs: one that cannot be made' dkms_install
	said 'initramfs: what to do then' 'has another KVM than .*: update-initramfs -u -k '
	rm -r "$WORK/no-room" "$WORK/root/boot"
}

# The example of the manual, on a host that boots with another KVM each time.
manual()
{
	sed -n '/^\.EX/,/^\.EE/p' "$TOP/tools/dkms/kvm-lifecycle-status.8" |
		sed "/^\./d; s/\\\\-/-/g; s#/var/lib/#$WORK/example/#" >"$WORK/example.sh"
	fake kvm-lifecycle-status <<-END
		exit \$(cat "$WORK/answer")
	END
	fake systemctl <<-END
		echo "\$1" >>"$WORK/boots"
	END
	fake modinfo <<-END
		echo S1
	END
	: >"$WORK/boots"
	for answer in 0 3 4 5 2 2 2; do
		echo "$answer" >"$WORK/answer"
		sh "$WORK/example.sh" >/dev/null 2>&1 || :
	done
	accepts "manual: the example reboots a host once" test "$(cat "$WORK/boots")" = reboot
	sed -i s/S1/S2/ "$WORK/bin/modinfo"
	sh "$WORK/example.sh"
	accepts 'manual: and once more for the next build' test "$(wc -l <"$WORK/boots")" -eq 2
}

# dkms_install_sh: what apt runs for each package that brings source or headers.
dkms_install_sh()
{
	env KVM_LIFECYCLE_ROOT="$WORK/root" "$WORK/project/tools/dkms/dkms-install.sh"
}

# compiler_says TEXT: and fails, as for a kernel that the series has not been tried with.
compiler_says()
{
	printf 'modules: broken\nbroken: ; @echo "%s"; false\n' "$1" >>"$common/Makefile"
}

# dkms-install.sh, whose output a user of apt reads, and which never fails.
install()
{
	x86_kernel
	project
	host kvm=stock kvm-amd=stock
	mkdir -p "$WORK/root/sys/kernel/debug/kvm/123-4" "$WORK/root/sys/kernel/debug/kvm/124-4"
	accepts 'install: a kernel that takes the modules' dkms_install_sh
	accepts 'install: takes all of them' build whole
	echo >>"$LIB/updates/kvm-lifecycle/kvm.ko"
	accepts 'install: modules that are not as they were built' dkms_install_sh
	accepts 'install: are built again' build whole

	x86_kernel
	before=$(state)
	compiler_says 'svm.c:1: error: made up'
	accepts 'install: a build that fails' dkms_install_sh
	said 'install: says so' '^kvm-lifecycle: .*: no patched KVM is installed .*: the build failed, .* keeps its own KVM: see .*; .*, dkms install'
	accepts 'install: with the compiler on its side' grep -q 'svm\.c:1: error: made up' "$RECORD.log"
	accepts "install: and the distribution's KVM stays" test "$(echo "$before" | grep -v common/Makefile)" = "$(state | grep -v common/Makefile)"
	accepts 'install: DKMS has none of ours' test ! -e "$ACTIVE"
	sed -i '/^modules: broken/d' "$common/Makefile"
	accepts 'install: by hand, once it is mended' dkms install
	accepts 'install: the failure is forgotten' test ! -e "$RECORD"

	x86_kernel
	compiler_says 'cc1: No space left on device'
	accepts 'install: a disk that is full while it builds' dkms_install_sh
	accepts 'install: says so' grep -q '^kvm-lifecycle: the disk is full: make room in ' "$WORK/project/make.log"
	accepts 'install: and it is no failure of the kernel' test ! -e "$RECORD"
	: >"$WORK/root/etc/dkms/no-autoinstall"
	accepts "install: nothing is done with DKMS' switch" test -z "$(dkms_install_sh 2>&1)"
	rm "$WORK/root/etc/dkms/no-autoinstall"
	packages 7.3.4-1 ''
	accepts 'install: a kernel without source' dkms_install_sh
	said 'install: what to install' "^kvm-lifecycle: .*: no patched KVM is installed .*: apt install $SOURCE=7\.3\.4-1$"
}

# The package with kvm_lifecycle alone.
observer()
{
	package kvm-lifecycle
	x86_kernel
	project
	host kvm=stock kvm-amd=stock
	before=$(state)
	accepts 'observer: a kernel that takes it' dkms_install_sh
	said 'observer: says so' '^kvm-lifecycle: .*: the observer is installed for the KVM of this kernel: modprobe kvm_lifecycle$'
	accepts 'observer: nothing else is installed' test "$(state | grep -v modules.dep | grep -vxF "$before")" = \
		"$(cd "$WORK/root" && sha256sum "./lib/modules/$RELEASE/updates/dkms/kvm_lifecycle.ko")"
	accepts "observer: it is for the kernel's own KVM, and drives nothing" \
		test "$(grep -E '^(KVM|UNSAFE)=' "$LIB/updates/dkms/kvm_lifecycle.ko" | paste -sd,)" = KVM=,UNSAFE=
	accepts 'observer: no patch is applied' test -z "$(grep -r changed "$WORK/project/linux/src")"
	accepts 'observer: is built once' dkms_install_sh
	accepts 'observer: of a KVM that is named' env KVML_KVM=/a/folder UNSAFE=1 KVM_LIFECYCLE_ROOT="$WORK/root" \
		"$WORK/project/tools/dkms/dkms-build.sh" compile "$RELEASE" "$lib/build" x86_64
	accepts 'observer: of that one, and with what drives it' \
		test "$(grep -E '^(KVM|UNSAFE)=' "$WORK/project/kvm_lifecycle.ko" | paste -sd,)" = KVM=/a/folder,UNSAFE=1
	: >"$LIB/updates/dkms/kvm_lifecycle.ko"
	accepts 'observer: one that is not as it was built' dkms_install_sh
	accepts 'observer: is built again' build whole
	accepts 'observer: a copy that is not whole' broken_copy
	said 'observer: says so' 'could not be installed, and none of them is'
	accepts 'observer: is taken away' test ! -e "$LIB/updates/dkms/kvm_lifecycle.ko" -a ! -e "$ACTIVE"
	dkms install >/dev/null 2>&1
	dkms uninstall
	accepts 'observer: removal' test -z "$(find "$LIB/updates" -type f)"
	compiler_says 'main.c:1: error: made up'
	accepts 'observer: a build that fails' dkms_install_sh
	said 'observer: says so' '^kvm-lifecycle: .*: the observer is not installed for this kernel: the build failed: see .*, dkms install kvm-lifecycle/'

	# What the package of both left behind, as its removal was interrupted.
	x86_kernel
	patched kvm kvm-amd kvm-intel
	initramfs kvm
	accepts 'observer: a patched KVM that is left' dkms_install_sh
	said 'observer: is taken away' '^kvm-lifecycle: .*: a patched KVM that no package has was taken away, and the next boot loads'
	accepts 'observer: all of it' test ! -e "$LIB/updates/kvm-lifecycle"
	accepts "observer: and modprobe takes the distribution's" test "$(grep -c '^kernel/.*/kvm' "$LIB/modules.dep")" -eq 3
	accepts "observer: and so does the initramfs" test "$(grep -c /kernel/arch/x86/kvm/ "$WORK/initramfs")" -eq 3
	rm -r "$WORK/root/boot"
	package kvm-lifecycle-kvm
	x86_kernel
	project
}

# As DKMS does not see it.
broken_copy()
{
	mkdir -p "$LIB/updates/dkms"
	: >"$LIB/updates/dkms/kvm_lifecycle.ko"
	! build installed
}

# postinst PACKAGE VERSION: after an upgrade from this one.
postinst()
{
	env DPKG_MAINTSCRIPT_PACKAGE="$1" sh "$TOP/debian/$1.postinst" configure "$2"
}

upgrade()
{
	accepts 'upgrade: from the package of both' postinst kvm-lifecycle-dkms 0.1
	said 'upgrade: says that KVM is replaced no more' "no longer replaces KVM, .* to keep the patched one, apt install kvm-lifecycle-kvm-dkms\$"
	for from in kvm-lifecycle-dkms:0.2 kvm-lifecycle-dkms: kvm-lifecycle-kvm-dkms:0.1; do
		refuses "upgrade: and not otherwise ($from)" none sh -c 'sh "$1" configure "$2" 2>&1 | grep "no longer" || { echo none; false; }' \
			sh "$TOP/debian/${from%:*}.postinst" "${from#*:}"
	done
	# No file is in two packages that can be installed together.
	for other in kvm-lifecycle-dkms kvm-lifecycle-kvm-modules; do
		accepts "upgrade: kvm-lifecycle-kvm-dkms takes the place of $other" sh -c \
			'sed -n "/^Package: kvm-lifecycle-kvm-dkms/,/^Desc/p" "$1" | grep "^Conflicts:.*$2" && grep "^Replaces:.*$2" "$1"' sh "$TOP/debian/control" "$other"
	done
	accepts 'upgrade: and the observer does not stand beside those of make kmod-deb' sh -c \
		'sed -n "/^Package: kvm-lifecycle-dkms/,/^Desc/p" "$1" | grep "^Conflicts: kvm-lifecycle-kvm-modules"' sh "$TOP/debian/control"
}

# told_to_build NUMBER: so often has DKMS been told to build since the kernel came.
told_to_build()
{
	dkms_install_sh && [ "$(wc -l <"$WORK/builds")" -eq "$1" ]
}

again()
{
	x86_kernel
	project
	: >"$WORK/builds"
	compiler_says 'svm.c:1: error: made up'
	accepts 'again: a build that fails' told_to_build 1
	accepts 'again: is not tried once more' told_to_build 1
	said 'again: and why' 'the build failed, .*; once this is mended, dkms install'
	sed -i 's/^PACKAGE_VERSION=.*/PACKAGE_VERSION="0.9"/' "$WORK/project/dkms.conf"
	accepts 'again: but with the next version of the package' told_to_build 2
	sed -i 's/7\.3\.4-1/7.3.4-2/' "$WORK/packages"
	accepts 'again: and of the kernel' told_to_build 3
	accepts 'again: and then not' told_to_build 3
	dkms install >/dev/null 2>&1 || :
	accepts 'again: by hand it always is' test "$(wc -l <"$WORK/builds")" -eq 4

	sed -i 's/^one$/another/' "$WORK/source/virt/kvm/kvm_main.c"
	x86_kernel
	project
	: >"$WORK/builds"
	accepts 'again: a patch that does not apply' told_to_build 1
	accepts 'again: is not tried once more' told_to_build 1
	said 'again: and why' 'main does not apply to '
	rm -rf "$WORK/source"
}

# The priority of a build.
priority()
{
	x86_kernel
	project
	printf 'modules: priority\npriority: ; @echo "nice $$(nice), $$(ionice), $(MAKEFLAGS)" >%s\n' "$WORK/priority" >>"$common/Makefile"
	fake nproc <<-'END'
		echo 8
	END
	build prepare >/dev/null 2>&1
	accepts 'priority: a build' build compile
	cp "$WORK/priority" "$WORK/output"
	said 'priority: is behind all processes and disk accesses' '^nice 19, idle'
	said 'priority: on a quarter of the CPUs' ' -j2( |$)'
	rm "$WORK/bin/nproc"
}

# objects ARCH UNSAFE: what the module is linked from, where all private headers are.
objects()
{
	mkdir -p "$WORK/tree/arch/x86/kvm/svm" "$WORK/tree/arch/x86/kvm/vmx" "$WORK/tree/drivers/iommu/amd"
	: >"$WORK/tree/arch/x86/kvm/svm/svm.h"
	: >"$WORK/tree/arch/x86/kvm/vmx/vmx.h"
	: >"$WORK/tree/drivers/iommu/amd/amd_iommu_types.h"
	printf 'include %s/Kbuild\nall: ; @printf "%%s\\n" $(kvm_lifecycle-y)\n' "$TOP" |
		make -s -f - "CONFIG_$1=y" CONFIG_KVM=m CONFIG_AMD_IOMMU=y CONFIG_IRQ_REMAP=y srctree="$WORK/tree" UNSAFE="$2" all
}

# Which parts drive KVM is in their sources.
production()
{
	(cd "$TOP" && grep -lr '\.unsafe = true' virt arch drivers) | grep -v main | sed 's/\.c$/.o/' | sort >"$WORK/driving"
	accepts 'production: parts that drive KVM are known' test "$(wc -l <"$WORK/driving")" -eq 5
	for arch in X86_64 ARM64; do
		objects "$arch" 1 | sort >"$WORK/unsafe"
		for without in '' 0; do
			objects "$arch" "$without" | sort >"$WORK/safe"
			accepts "production: $arch: no part that drives KVM is linked (UNSAFE=$without)" \
				test -s "$WORK/safe" -a -z "$(comm -12 "$WORK/driving" "$WORK/safe")"
		done
		accepts "production: $arch: and with UNSAFE=1 no other is missing" \
			test "$(comm -13 "$WORK/safe" "$WORK/unsafe")" = "$(comm -12 "$WORK/driving" "$WORK/unsafe")"
	done
	accepts 'production: all of them are built with UNSAFE=1' \
		test -z "$( { objects X86_64 1; objects ARM64 1; } | sort -u | comm -13 - "$WORK/driving")"
	for file in tools/lab/module.sh tools/kit/host/build; do
		accepts "production: and $file builds that" grep -qE '(kmake|make) .*UNSAFE=1|KCSAN.*UNSAFE=1' "$TOP/$file"
	done
}

# The archive, for make kmod-deb: lines of suite, package and version.
fake_archive()
{
	{
		echo "trixie linux-image-$RELEASE 7.3.4-1"
		echo "trixie linux-headers-$RELEASE 7.3.4-1"
		echo "trixie $SOURCE ${1:-7.3.4-1}"
	} >"$WORK/archive"
	fake apt-get <<-END
		case " \$* " in
		*' indextargets '*)	echo 'http://deb.example/debian trixie Debian' ;;
		esac
	END
	fake apt-cache <<-END
		suite=\$(printf '%s\n' "\$@" | sed -n 's#.*SourceList=.*/\([^/]*\)/sources.list\$#\1#p')
		for package; do :; done
		sed -n "s/^\$suite \$package /Version: /p" "$WORK/archive"
	END
	# A root file system in which our commands are the host's.
	fake mmdebstrap <<-END
		[ ! -e "$WORK/interrupt" ] || kill -\$(cat "$WORK/interrupt") 0
		for argument; do root=\$list list=\$argument; done
		cp -a "$WORK/root" "\$root"
	END
	fake chroot <<-'END'
		root=$1
		while case $2 in /*|strip) false ;; esac; do shift; done
		shift
		for argument; do
			shift
			case $argument in
			/usr/*|/lib/*|/run/*) argument=$root$argument ;;
			esac
			set -- "$@" "$argument"
		done
		KVM_LIFECYCLE_ROOT=$root exec "$@"
	END
	fake lintian </dev/null
}

# kmod_deb [VARIABLE=VALUE]...
kmod_deb()
{
	setsid env TMPDIR="$WORK/tmp" KVM_LIFECYCLE_CACHE="$WORK/cache" KERNEL_PACKAGE="linux-image-$RELEASE" \
		"$@" "$WORK/project/tools/dkms/kmod-deb.sh"
}

# kmod_refuses NAME REGEXP [VARIABLE=VALUE]...: and no file of it is left.
kmod_refuses()
{
	_what=$1 _regexp=$2
	shift 2
	refuses "kmod-deb: $_what" "$_regexp" kmod_deb "$@"
	accepts "kmod-deb: $_what: nothing is left of it" \
		test -z "$(find "$WORK/tmp" -mindepth 1; find "$WORK/project/results" -type f ! -name "$(basename "${deb:-none}")" 2>/dev/null)"
}

# key NAME: a key, and its certificate.
key()
{
	openssl req -new -x509 -newkey rsa:2048 -nodes -subj "/CN=$1/" -keyout "$WORK/$1.pem" -out "$WORK/$1.crt" 2>/dev/null
}

# kmod ACTION: of the package, on the made-up host.
kmod()
{
	setsid env STEP_AT="${at:-}" STEP_DOES="${does:-}" KVM_LIFECYCLE_ROOT="$WORK/root" "$on_host/tools/dkms/kmod-place.sh" "$1"
}

kmod_place()
{
	kmod place
}

kmod_removed()
{
	kmod removed
}

kmod_refused()
{
	refuses "kmod-deb: on a host: $1" "^kvm-lifecycle: .*$2" kmod place
}

central()
{
	x86_kernel
	project
	(cd "$TOP" && cp -r virt arch drivers debian Documentation "$WORK/project/")
	any_disk "$WORK/project"
	mkdir "$WORK/tmp"
	signer <<-'END'
		[ "$1" = sha256 ] && grep -q 'PRIVATE KEY' "$2" && [ -s "$3" ] && printf '~Module signature appended~\n' >>"$4"
	END
	fake_archive
	key fleet
	key other
	kmod_refuses 'no kernel' '^kmod-deb\.sh: which kernel\?  Give KERNEL_PACKAGE=linux-image-RELEASE' KERNEL_PACKAGE=
	kmod_refuses 'no package of a kernel' '^kmod-deb\.sh: KERNEL_PACKAGE=linux-image-amd64 names no kernel of amd64: ' KERNEL_PACKAGE=linux-image-amd64
	kmod_refuses 'no series' '^kmod-deb\.sh: there is no series for 6\.1\.0-1-amd64, but for ' KERNEL_PACKAGE=linux-image-6.1.0-1-amd64
	kmod_refuses 'an unknown kernel' "^kmod-deb\\.sh: Debian's archive has no linux-image-7\\.3\\.9-amd64: name a kernel" KERNEL_PACKAGE=linux-image-7.3.9-amd64
	kmod_refuses 'a key that is not there' '^kmod-deb\.sh: /nowhere/key cannot be read: ' SIGN_KEY=/nowhere/key SIGN_CERT="$WORK/fleet.crt"
	kmod_refuses 'a key alone' '^kmod-deb\.sh: SIGN_KEY is a key without its certificate: ' SIGN_KEY="$WORK/fleet.pem"
	kmod_refuses 'a certificate alone' '^kmod-deb\.sh: SIGN_CERT is the certificate of a key: ' SIGN_CERT="$WORK/fleet.crt"
	kmod_refuses 'no key' '^kmod-deb\.sh: SIGN_KEY=.*/fleet\.crt is no private key in PEM, ' SIGN_KEY="$WORK/fleet.crt" SIGN_CERT="$WORK/fleet.crt"
	kmod_refuses 'no certificate' '^kmod-deb\.sh: SIGN_CERT=.*/fleet\.pem is no certificate: ' SIGN_KEY="$WORK/fleet.pem" SIGN_CERT="$WORK/fleet.pem"
	kmod_refuses 'the certificate of another key' '^kmod-deb\.sh: SIGN_CERT=.*/other\.crt is the certificate of another key' SIGN_KEY="$WORK/fleet.pem" SIGN_CERT="$WORK/other.crt"
	fake_archive 7.3.3-1
	kmod_refuses 'source of another version' "^kmod-deb\\.sh: Debian's trixie has no $SOURCE of the version 7\\.3\\.4-1"
	fake_archive

	accepts 'kmod-deb: a package that is not signed' kmod_deb
	said 'kmod-deb: says so' 'is built, and not signed: on the hosts, apt install '
	deb=$(ls "$WORK"/project/results/kmod-deb/*.deb)
	mv "$deb" "$WORK/unsigned.deb"
	accepts 'kmod-deb: one that is' kmod_deb SIGN_KEY="$WORK/fleet.pem" SIGN_CERT="$WORK/fleet.crt"
	accepts 'kmod-deb: for this very kernel' test "$(dpkg-deb -f "$deb" Depends)" = "linux-image-$RELEASE (= 7.3.4-1), kmod"
	for field in Conflicts Replaces; do
		accepts "kmod-deb: $field" test "$(dpkg-deb -f "$deb" "$field")" = 'kvm-lifecycle-dkms, kvm-lifecycle-kvm-dkms'
	done
	rm -rf "$WORK/unpacked"
	dpkg-deb -R "$deb" "$WORK/unpacked"
	for script in postinst prerm; do
		accepts "kmod-deb: $script" shellcheck "$WORK/unpacked/DEBIAN/$script"
	done
	from=$WORK/unpacked/usr/lib/kvm-lifecycle/$RELEASE/modules
	accepts 'kmod-deb: all modules, each of them signed' test "$(grep -lax '~Module signature appended~' "$from"/* | sed 's#.*/##' | paste -sd' ')" = \
		'kvm-amd.ko kvm-intel.ko kvm.ko kvm_lifecycle.ko'
	accepts 'kmod-deb: by this key' cmp "$WORK/unpacked/usr/lib/kvm-lifecycle/$RELEASE/signed-by.der" \
		"$(openssl x509 -in "$WORK/fleet.crt" -outform DER -out "$WORK/fleet.der" && echo "$WORK/fleet.der")"
	accepts 'kmod-deb: which is nowhere but in its file' test -z "$(grep -rlF "$(sed -n 2p "$WORK/fleet.pem")" "$WORK/unpacked" "$WORK/cache" "$WORK/project" "$WORK/tmp")"
	echo TERM >"$WORK/interrupt"
	kmod_refuses 'interrupted' '' SIGN_KEY="$WORK/fleet.pem" SIGN_CERT="$WORK/fleet.crt"
	echo KILL >"$WORK/interrupt"
	kmod_deb SIGN_KEY= >/dev/null 2>&1 || :
	rm -r "$WORK/interrupt" "$WORK/tmp"
	mkdir "$WORK/tmp"
	accepts 'kmod-deb: killed: no other package is there' test "$(find "$WORK/project/results" -name '*.deb')" = "$deb"
	accepts 'kmod-deb: and the last one is whole' dpkg-deb -c "$deb"
	compiler_says 'svm.c:1: error: made up'
	kmod_refuses 'a build that fails' "^kmod-deb\\.sh: the modules for linux-image-.* cannot be built: see "
	on_a_host
	rm "$WORK/bin/chroot" "$WORK/bin/apt-get" "$WORK/bin/apt-cache" "$WORK/bin/lintian" "$WORK/bin/mmdebstrap"
	from=
}

# The package on a host that has neither a compiler nor DKMS nor headers.
on_a_host()
{
	x86_kernel
	rm -r "$lib/build" "$lib/source" "$WORK/root/var/lib/dkms"
	OURS=$lib/updates/kvm-lifecycle
	on_host=$WORK/root/usr/lib/kvm-lifecycle/$RELEASE
	dpkg-deb -x "$deb" "$WORK/root"
	from=$on_host/modules
	stock=$(cd "$lib/kernel" && find . -type f -exec sha256sum {} + | sort)
	steps
	before=$(state)
	accepts 'kmod-deb: on a host: installation' kmod place
	accepts 'kmod-deb: on a host: all of it' kmod whole
	accepts 'kmod-deb: on a host: modprobe takes it' grep -q '^updates/kvm-lifecycle/kvm-amd.ko' "$LIB/modules.dep"
	accepts 'kmod-deb: on a host: removal: killed at each step' each_step kill kmod_removed kmod_place kmod
	accepts 'kmod-deb: on a host: removal' kmod removed
	accepts 'kmod-deb: on a host: all is as it was' test "$before" = "$(state)"
	accepts 'kmod-deb: on a host: installation: killed at each step' each_step kill kmod_place kmod_place kmod
	kmod removed
	accepts 'kmod-deb: on a host: installation: each step fails' each_step fail kmod_place
	kmod removed
	no_steps
	accepts 'kmod-deb: on a host: status' sh -c 'KVM_LIFECYCLE_ROOT=$1 "$2"; [ $? -eq 4 ]' sh "$WORK/root" "$on_host/tools/dkms/dkms-status.sh"
	said 'kmod-deb: on a host: status: how to install it' 'no patched KVM is installed for this kernel: to install it, .*/kmod-place\.sh place$'

	echo 'module.sig_enforce=1' >"$WORK/root/proc/cmdline"
	kmod_refused 'a kernel that takes signed modules alone' "module\\.sig_enforce is on, and without EFI the kernel cannot be told of the package's key"
	efi_variable SecureBoot 0
	: >"$WORK/no-mokutil"
	kmod_refused 'without mokutil' 'apt install mokutil$'
	rm "$WORK/no-mokutil"
	echo 'is not enrolled' >"$WORK/mokutil--test-key"
	kmod_refused "that does not know the package's key" "does not know the package's key: mokutil --import .*/signed-by\\.der, reboot and enrol it, then .*/kmod-place\\.sh place\$"
	accepts 'kmod-deb: on a host: status' sh -c 'KVM_LIFECYCLE_ROOT=$1 "$2"; [ $? -eq 4 ]' sh "$WORK/root" "$on_host/tools/dkms/dkms-status.sh"
	said 'kmod-deb: on a host: status: the reason' "does not know the package's key: mokutil --import "
	echo 'is already enrolled' >"$WORK/mokutil--test-key"
	accepts 'kmod-deb: on a host: that knows it' kmod place
	kmod removed
	rm -r "$on_host"
	dpkg-deb -x "$WORK/unsigned.deb" "$WORK/root"
	kmod_refused 'a package that is not signed' 'module\.sig_enforce is on and the package is not signed: build it with SIGN_KEY= and SIGN_CERT=$'
	: >"$WORK/root/proc/cmdline"
	: >"$WORK/chroot"
	kmod_refused 'an image' 'this is an image or a chroot, '
	rm "$WORK/chroot" "$WORK"/mokutil--*
	accepts 'kmod-deb: on a host: that takes it' kmod place
	kmod removed
	fake df <<-END
		printf '\nroom 0 0 1024\n'
	END
	kmod_refused 'a disk that is full' 'only 1 MiB are free in .*/lib/modules and 32 are needed: make room'
	rm "$WORK/bin/df"
}

# conf RELEASE ARCH NAME [ACTION [VERSION]]: a value of dkms.conf, as this version of DKMS reads it.
conf()
{
	fake dkms <<-END
		echo dkms-${5:-3.2.2}
	END
	bash -c 'kernelver=$1 arch=$2 kernel_source_dir=/nowhere action=${5:-build}; . "$4"; eval "echo \"\${$3[*]}\""' \
		conf "$1" "$2" "$3" "$WORK/project/dkms.conf" "${4:-build}"
}

configuration()
{
	for name in kvm-lifecycle kvm-lifecycle-kvm; do
		package "$name"
		project
		one_configuration
	done
	accepts 'dkms.conf: KVM is replaced on x86-64 alone' test "$(conf "$RELEASE" x86_64 BUILD_EXCLUSIVE_ARCH)" = x86_64
	# dh_dkms of Debian 13 makes packages depend on a package that Debian 12 lacks, for these.
	refuses 'dkms.conf: nothing that Debian 12 lacks' '^none$' sh -c \
		'cat "$@" >/dev/null && echo none; cat "$@" | grep -E "BUILD_EXCLUSIVE_(CONFIG|KERNEL_M)|uname -r"' \
		sh "$TOP"/debian/*.dkms "$TOP/tools/dkms/common.conf"
	accepts 'no configuration is changed' no_kconfig
}

# Of the package that is looked at.
one_configuration()
{
	accepts "$NAME: dkms.conf: the name" test "$(conf "$RELEASE" x86_64 PACKAGE_NAME)" = "$NAME"
	accepts "$NAME: dkms.conf: DKMS installs no module of KVM" test "$(conf "$RELEASE" x86_64 BUILT_MODULE_NAME)" = kvm_lifecycle
	accepts "$NAME: dkms.conf: the kernel that is named" test "$(conf 7.2.1-x x86_64 PRE_BUILD)" = \
		'tools/dkms/dkms-build.sh prepare 7.2.1-x /nowhere x86_64'
	for version in 3.0.10 3.2.2; do
		accepts "$NAME: dkms.conf: nothing is built in a kernel's own hook ($version)" \
			test -z "$(conf "$RELEASE" x86_64 AUTOINSTALL autoinstall "$version")$(conf "$RELEASE" x86_64 AUTOINSTALL kernel_postinst "$version")"
		accepts "$NAME: dkms.conf: and removed in one ($version)" test "$(conf "$RELEASE" x86_64 AUTOINSTALL kernel_preinst "$version")" = yes
	done
	pattern=$(conf "$RELEASE" x86_64 BUILD_EXCLUSIVE_KERNEL)
	for base in $(bases); do
		accepts "$NAME: dkms.conf: $base" sh -c 'echo "$1.1-amd64" | grep -qE "$2"' sh "$(base_get "$base" series)" "$pattern"
	done
	refuses "$NAME: dkms.conf: no other kernel" 'none' sh -c 'echo none; echo 6.1.0-1-amd64 | grep -qE "$1"' sh "$pattern"
	accepts "$NAME: one version" test "$(conf "$RELEASE" x86_64 PACKAGE_VERSION)" = "$VERSION"
}

# The configuration of an installed kernel is fixed, so that a patch that needs
# another one must be in the table.
no_kconfig()
{
	for base in $(bases); do
		for patch in $(series_files "$base"); do
			! series_paths "$patch" | grep -q 'Kconfig\|Makefile' ||
				! series_paths "$patch" | grep -qE '^(virt/kvm|arch/x86/kvm)/' ||
				grep -q "^$(slug_of "$patch")[[:space:]]" "$TOP/patches/$base/dkms" || echo "$base/${patch##*/}"
		done
	done | if grep .; then return 1; fi
}

echo TAP version 13
package kvm-lifecycle-kvm
common=$WORK/root/usr/src/linux-headers-7.3.4-common
fakes
project
missing
signatures
series
installation
signing
status
initramfs_first
install
observer
upgrade
again
priority
configuration
package kvm-lifecycle-kvm
production
central
manual
report
