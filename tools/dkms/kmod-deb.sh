#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# kmod-deb.sh: KVM's modules with the series, and kvm_lifecycle for them, as a Debian
# package for one exact kernel: the hosts need no compiler.
#
#   KERNEL_PACKAGE=linux-image-6.12.107+deb13-amd64   which kernel, of Debian's archive
#   SIGN_KEY=path SIGN_CERT=path	the key of the hosts, in PEM, and its certificate;
#				KBUILD_SIGN_PIN in the environment has its passphrase
#
# They are built in a new root file system of the kernel's suite, with the kernel's own
# compiler, by the scripts of kvm-lifecycle-kvm-dkms.  The package is in results/kmod-deb.

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/lab/apt.sh"

export START
KERNEL_PACKAGE=${KERNEL_PACKAGE:-}
SIGN_KEY=${SIGN_KEY:-}
SIGN_CERT=${SIGN_CERT:-}
RESULTS=$TOP/results/kmod-deb
# Of the source that the modules are made of, and of the package.
SOURCE=kvm-lifecycle-kvm
VERSION=$(package_version)
MAINTAINER=$(sed -n 's/^Maintainer: //p' "$TOP/debian/control")

case $KERNEL_PACKAGE in
linux-image-[0-9]*-amd64)
	RELEASE=${KERNEL_PACKAGE#linux-image-} ;;
'')	die "which kernel?  Give KERNEL_PACKAGE=linux-image-RELEASE, with the RELEASE that uname -r prints on the hosts" ;;
*)	die "KERNEL_PACKAGE=$KERNEL_PACKAGE names no kernel of amd64: give linux-image-RELEASE, with the RELEASE that uname -r prints on the hosts" ;;
esac
BASE=$(base_for "$RELEASE") ||
	die "there is no series for $RELEASE, but for $(for base in $(bases); do base_get "$base" series; done | paste -sd' ')"
SERIES=$(base_get "$BASE" series)

# A key that cannot be used is told before anything is built.
check_key()
{
	[ -n "$SIGN_KEY$SIGN_CERT" ] || return 0
	[ -n "$SIGN_KEY" ] || die "SIGN_CERT is the certificate of a key: give the key with SIGN_KEY="
	[ -n "$SIGN_CERT" ] || die "SIGN_KEY is a key without its certificate: give that with SIGN_CERT="
	for file in "$SIGN_KEY" "$SIGN_CERT"; do
		if [ ! -f "$file" ] || [ ! -r "$file" ]; then
			die "$file cannot be read: give SIGN_KEY= and SIGN_CERT= as the paths of files"
		fi
	done
	PIN=${KBUILD_SIGN_PIN:-}
	export PIN
	key=$(openssl pkey -in "$SIGN_KEY" -passin env:PIN -pubout 2>/dev/null) ||
		die "SIGN_KEY=$SIGN_KEY is no private key in PEM, or KBUILD_SIGN_PIN is not its passphrase: give another one"
	openssl x509 -in "$SIGN_CERT" -outform DER -out "$WORK/signed-by.der" 2>/dev/null ||
		die "SIGN_CERT=$SIGN_CERT is no certificate: give that of SIGN_KEY"
	[ "$key" = "$(openssl x509 -in "$SIGN_CERT" -noout -pubkey)" ] ||
		die "SIGN_CERT=$SIGN_CERT is the certificate of another key than $SIGN_KEY: give that of SIGN_KEY"
}

# $suite and $KERNEL_VERSION: where the archive has this kernel.
find_kernel()
{
	look_for package "$KERNEL_PACKAGE" ||
		die "Debian's archive has no $KERNEL_PACKAGE$(unread): name a kernel that it has, e.g. of apt-cache search linux-image-"
	KERNEL_VERSION=$(versions package "$KERNEL_PACKAGE" "$suite" | sort -V | tail -n 1)
	for package in "linux-headers-$RELEASE" "linux-source-$SERIES"; do
		versions package "$package" "$suite" | grep -qxF -e "$KERNEL_VERSION" ||
			die "Debian's $suite has no $package of the version $KERNEL_VERSION, which $KERNEL_PACKAGE has: name the suite's newest kernel"
	done
}

sources()
{
	for part in "${suite%%-*}" "${suite%%-*}-updates" "${suite%%-*}-security" "$suite"; do
		echo "deb $(mirror_for "$part") $part main"
	done | awk '!seen[$0]++'
}

# Only the parts that can be read: mmdebstrap fails for the others.
readable_sources()
{
	sources | while read -r line; do
		part=${line% main}
		! read_suite "${part##* }" || echo "$line"
	done
}

# in_root COMMAND...: as in a host that has nothing but what was asked for; without its own
# /proc, which is about this machine and not about the hosts.
in_root()
{
	as_root unshare -m sh -c 'mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"' \
		"$ROOT" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 HOME=/root BUILD_JOBS="$JOBS" "$@"
}

make_root()
{
	readable_sources >"$WORK/sources.list"
	as_root mmdebstrap --variant=apt --skip=output/dev --include=make,patch,kmod,xz-utils,openssl \
		--include="linux-headers-$RELEASE=$KERNEL_VERSION,linux-source-$SERIES=$KERNEL_VERSION" \
		"${suite%%-*}" "$ROOT" "$WORK/sources.list"
}

# The scripts of the DKMS package, and its files.
copy_source()
{
	as_root mkdir -p "$ROOT/dev" "$ROOT/etc/dkms" "$ROOT/usr/src/$SOURCE" &&
	as_root touch "$ROOT/etc/dkms/kvm-lifecycle.unsigned" &&
	sed '/^#/d; s/[[:space:]]*${env.*//' "$TOP/debian/$SOURCE-dkms.install" |
		(cd "$TOP" && as_root cp -r --parents $(cat) "$ROOT/usr/src/$SOURCE/") &&
	as_root cp "$TOP/debian/$SOURCE-dkms.dkms" "$ROOT/usr/src/$SOURCE/dkms.conf"
}

# sign FILE: the key is on no disk but its own.
sign()
{
	as_root unshare -m sh -ec '
	mkdir -p "$0/run/sign"
	mount -t tmpfs -o mode=700,size=1m tmpfs "$0/run/sign"
	cp "$1" "$0/run/sign/key" && cp "$2" "$0/run/sign/cert"
	shift 2
	exec chroot "$0" "$@"' "$ROOT" "$SIGN_KEY" "$WORK/signed-by.der" env -i PATH=/usr/bin:/bin KBUILD_SIGN_PIN="${KBUILD_SIGN_PIN:-}" \
		"/lib/modules/$RELEASE/build/scripts/sign-file" "$HASH" /run/sign/key /run/sign/cert "$1"
}

build_modules()
{
	make_root && copy_source || return
	for action in prepare compile; do
		in_root "/usr/src/$SOURCE/tools/dkms/dkms-build.sh" "$action" "$RELEASE" "/lib/modules/$RELEASE/build" x86_64 || return
	done
	HASH=$(sed -n 's/^CONFIG_MODULE_SIG_HASH="\(.*\)"/\1/p' "$ROOT/lib/modules/$RELEASE/build/.config")
	for module in $MODULES; do
		in_root strip -g "/usr/src/$SOURCE/$module.ko" || return
		[ -z "$SIGN_KEY" ] || sign "/usr/src/$SOURCE/$module.ko" || return
	done
}

# script NAME: a maintainer script, from standard input.
script()
{
	{
		printf '#!/bin/sh\nset -e\n'
		cat
	} >"$PACKAGE/DEBIAN/$1"
	chmod 755 "$PACKAGE/DEBIAN/$1"
}

# The package's files, and what they are about.
fill()
{
	files=$PACKAGE/usr/lib/kvm-lifecycle/$RELEASE
	docs=$PACKAGE/usr/share/doc/$NAME
	# etc/dkms is for the administrator's word, see dkms-signature.sh.
	mkdir -p "$PACKAGE/DEBIAN" "$PACKAGE/etc/dkms" "$files/tools/dkms" "$files/modules" "$docs"
	cp "$TOP/tools/lib.sh" "$files/tools/"
	for file in dkms-host dkms-place dkms-signature dkms-status kmod-place; do
		cp "$TOP/tools/dkms/$file.sh" "$files/tools/dkms/"
	done
	cp "$TOP/tools/dkms/kvm-lifecycle-status.8" "$files/"
	gzip -9n "$files/kvm-lifecycle-status.8"
	for module in $MODULES; do
		cp "$ROOT/usr/src/$SOURCE/$module.ko" "$files/modules/"
	done
	grep -E '^CONFIG_(X86_64|MODULE_SIG|LOCK_DOWN|SECURITY_LOCKDOWN)' "$ROOT/lib/modules/$RELEASE/build/.config" >"$files/config"
	[ -z "$SIGN_KEY" ] || cp "$WORK/signed-by.der" "$files/"
	cp "$TOP/debian/copyright" "$docs/"
	gzip -9nc "$TOP/debian/changelog" >"$docs/changelog.gz"
	cp "$TOP/Documentation/process/dkms.rst" "$docs/"
	gzip -9n "$docs/dkms.rst"
	find "$PACKAGE" -type d -exec chmod 755 {} +
	find "$PACKAGE" -type f ! -name '*.sh' ! -path '*/DEBIAN/*' -exec chmod 644 {} +
	find "$PACKAGE" -name '*.sh' -exec chmod 755 {} +
	chmod 644 "$files"/tools/lib.sh "$files"/tools/dkms/dkms-host.sh "$files"/tools/dkms/dkms-place.sh "$files"/tools/dkms/dkms-signature.sh
	control >"$PACKAGE/DEBIAN/control"
	scripts
	(cd "$PACKAGE" && find usr -type f -exec md5sum {} +) >"$PACKAGE/DEBIAN/md5sums"
}

control()
{
	cat <<-END
		Package: $NAME
		Source: kvm-lifecycle ($VERSION)
		Version: $VERSION+$KERNEL_VERSION
		Architecture: amd64
		Maintainer: $MAINTAINER
		Installed-Size: $(du -sk "$PACKAGE" | cut -f1)
		Depends: $KERNEL_PACKAGE (= $KERNEL_VERSION), kmod
		Recommends: mokutil
		Provides: kvm-lifecycle-kvm-modules
		Conflicts: kvm-lifecycle-dkms, kvm-lifecycle-kvm-dkms
		Replaces: kvm-lifecycle-dkms, kvm-lifecycle-kvm-dkms
		Section: kernel
		Priority: optional
		Description: KVM with a safe life of vCPUs, for $RELEASE
		 The modules kvm, kvm-amd and kvm-intel of this very kernel, with a patch
		 series that closes the holes in the creation and destruction of vCPUs,
		 SVM's AVIC and its GA Log, and kvm_lifecycle, which observes the life of
		 vCPUs through debugfs.  They are built: the host needs no compiler.
		 $(if [ -n "$SIGN_KEY" ]; then echo 'They are signed.'; else echo 'They are not signed.'; fi)
		 .
		 kvm-lifecycle-status shows which KVM is loaded and which one is installed.
	END
}

scripts()
{
	here=/usr/lib/kvm-lifecycle/$RELEASE
	# A kernel that keeps its own KVM is no reason to leave the package half-configured.
	script postinst <<-END
		case \$1 in
		configure)
			update-alternatives --install /usr/sbin/kvm-lifecycle-status kvm-lifecycle-status $here/tools/dkms/dkms-status.sh 10 \\
				--slave /usr/share/man/man8/kvm-lifecycle-status.8.gz kvm-lifecycle-status.8.gz $here/kvm-lifecycle-status.8.gz
			$here/tools/dkms/kmod-place.sh place || :
			echo "kvm-lifecycle: $RELEASE: \$($here/tools/dkms/dkms-status.sh -k $RELEASE | tail -n 1)"
			;;
		esac
	END
	script prerm <<-END
		case \$1 in
		remove|deconfigure)
			$here/tools/dkms/kmod-place.sh removed || :
			update-alternatives --remove kvm-lifecycle-status $here/tools/dkms/dkms-status.sh
			;;
		esac
	END
}

WORK=$(mktemp -d)
ROOT=$WORK/root
trap 'as_root rm -rf "$WORK"; rm -rf "$RESULTS/.tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
"$TOP/tools/lab/setup.sh"
check_key
can_be_root || die "a root file system cannot be made without root: run this as root, or install sudo"
[ -z "$NO_ARCHIVE" ] || die "$NO_ARCHIVE"
need_space "$WORK" 4
find_kernel
NAME=kvm-lifecycle-kvm-$RELEASE
PACKAGE=$WORK/package
MODULES='kvm kvm-amd kvm-intel kvm_lifecycle'
LOG=$CACHE/logs/kmod-deb-$RELEASE.log
step "building the modules for $KERNEL_PACKAGE $KERNEL_VERSION of Debian's $suite (log: $LOG)"
run_logged "$LOG" build_modules || die "the modules for $KERNEL_PACKAGE cannot be built: see $LOG"
fill
dpkg-deb --root-owner-group -b "$PACKAGE" "$WORK" >>"$LOG" 2>&1 || die "cannot build the package: see $LOG"
"$TOP/tools/dkms/lintian.sh" "$WORK"/*.deb
rm -rf "$RESULTS/.tmp"
mkdir -p "$RESULTS/.tmp"
cp "$WORK"/*.deb "$RESULTS/.tmp/"
for file in "$RESULTS"/.tmp/*.deb; do
	mv "$file" "$RESULTS/"
	step "$RESULTS/${file##*/} is built$([ -n "$SIGN_KEY" ] || echo ', and not signed'): on the hosts, apt install ./${file##*/}"
done
