#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# hosts.sh: what the Debian package does for a host.  Make Debian hosts with
# mmdebstrap, install a kernel and the package in them as a user would, remove
# it again, and boot either state: Debian's own kernel image, in QEMU, with the
# modules that it finds in its root file system.
#
# In between, dkms' own autopkgtest has to pass.
#
#   HOST='debian-13'    which of tools/dkms/debians (default: all)
#   TEST='a b'          these tests alone
#
# With the distribution's modules the tests must be red, with ours green, as
# patches/BASE/debian says.  The results are in results/HOST/x86-*.

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/lab/apt.sh"

export START
LIST=$TOP/tools/dkms/debians
ALL=$(awk '!/^#/ { print $1 }' "$LIST" | paste -sd' ')
HOST=${HOST:-$ALL}
TEST=${TEST:-}
DEB=$TOP/kvm-lifecycle-dkms_$(sed -n '1s/.*(\(.*\)).*/\1/p' "$TOP/debian/changelog")_all.deb

for name in $HOST; do
	echo " $ALL " | grep -qF " $name " || die "unknown HOST=$name: choose from $ALL"
done
can_be_root || die "a root file system cannot be made without root: run this as root, or install sudo"

# in_host COMMAND...: in the root file system, with what a package expects there.
in_host()
{
	as_root unshare -m sh -c 'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"' \
		"$ROOT" env LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}

# The archive, as this machine has it.
sources()
{
	for part in "$SUITE" "$SUITE-updates" "$SUITE-security"; do
		echo "deb $(mirror_for "$part") $part main"
	done
}

# Debian's own: a kernel, its headers and source, and DKMS.
make_base()
{
	need_space "$CACHE" 6
	step "$host: installing Debian with linux-image-$FLAVOUR (log: $LOG)"
	sources >"${BASE_TAR%.tar}.list"
	as_root rm -f "$CACHE/debian/$host"-*.tar*
	run_logged "$LOG" as_root mmdebstrap --variant=apt --format=tar --skip=output/dev \
		--include="linux-image-$FLAVOUR,linux-headers-$FLAVOUR,linux-source-6.12,initramfs-tools,dkms,openssl" \
		"$SUITE" "$BASE_TAR.tmp" "${BASE_TAR%.tar}.list" ||
		die "$host: cannot install Debian: see $LOG"
	mv -f "$BASE_TAR.tmp" "$BASE_TAR"
}

# What a kernel's modules are, and which of them modprobe takes.
modules_state()
{
	(cd "$ROOT/lib/modules" && find . ! -type d ! -name 'modules.*.bin' | sort | while read -r file; do
		if [ -L "$file" ]; then readlink "$file"; else sha256sum "$file"; fi
	done)
}

# keep_host VARIANT: what an emulated host boots of the root file system as it is.
keep_host()
{
	out=$CACHE/out/$host-x86-$1
	rm -rf "$out" "$out.tmp"
	mkdir "$out.tmp"
	as_root cp "$ROOT/boot/vmlinuz-$RELEASE" "$out.tmp/image"
	as_root cp "$ROOT/boot/initrd.img-$RELEASE" "$out.tmp/initrd"
	as_root mke2fs -q -q -F -t ext4 -O '^has_journal' -d "$ROOT" "$out.tmp/root.img" \
		"$(($(as_root du -sm "$ROOT" | cut -f1) * 5 / 4 + 200))M" >/dev/null
	as_root chown -R "$(id -u):$(id -g)" "$out.tmp"
	mkdir -p "$CACHE/module/$host-x86-$1"
	cp "$WORK/kvm_lifecycle.ko" "$CACHE/module/$host-x86-$1/"
	mv "$out.tmp" "$out"
}

# It takes packages by name, from a repository.
autopkgtest()
{
	mkdir "$WORK/apt" &&
	cp "$DEB" "$WORK/apt/" &&
	(cd "$WORK/apt" && dpkg-scanpackages . >Packages) &&
	as_root cp -r "$WORK/apt" "$ROOT/lab/apt" &&
	echo 'deb [trusted=yes] file:/lab/apt ./' | as_root tee "$ROOT/lab/apt.list" &&
	in_host sh -c 'mv /lab/apt.list /etc/apt/sources.list && rm -rf /etc/apt/sources.list.d && apt-get update &&
		cd /root && /usr/lib/dkms/dkms-autopkgtest kvm-lifecycle-dkms'
}

# The package, as a user installs it, and removes it.
make_hosts()
{
	WORK=$CACHE/debian/$host.tmp
	ROOT=$WORK/root
	trap 'as_root rm -rf "$WORK"' EXIT
	trap 'exit 130' INT TERM
	as_root rm -rf "$WORK"
	mkdir -p "$WORK"
	need_space "$CACHE" 8
	step "$host: unpacking Debian"
	as_root mkdir "$ROOT"
	as_root tar -xf "$BASE_TAR" -C "$ROOT"
	as_root mkdir -p "$ROOT/lab" "$ROOT/dev"
	as_root cp "$TOP/tools/lab/debian-init" "$ROOT/lab/start"
	RELEASE=$(basename "$(find "$ROOT/lib/modules" -mindepth 1 -maxdepth 1 -type d)")
	before=$(modules_state)

	step "$host: apt install ./${DEB##*/}, for linux-image-$RELEASE (log: $LOG)"
	as_root cp "$DEB" "$ROOT/root/"
	run_logged "$LOG" in_host apt-get install -y "/root/${DEB##*/}" ||
		die "$host: the package cannot be installed: see $LOG"
	in_host kvm-lifecycle-status -k "$RELEASE" >"$WORK/status" ||
		die "$host: no patched KVM is installed, but: $(tail -n 1 "$WORK/status") (log: $LOG)"
	step "$host: $(grep -c '^patch ' "$WORK/status") patches, and $(tail -n 1 "$WORK/status")"
	file=$(find "$ROOT/lib/modules/$RELEASE/updates" -name 'kvm_lifecycle.ko*')
	case $file in
	*.xz)	xz -dc "$file" >"$WORK/kvm_lifecycle.ko" ;;
	*)	cp "$file" "$WORK/kvm_lifecycle.ko" ;;
	esac
	keep_host all

	step "$host: apt purge kvm-lifecycle-dkms"
	run_logged "$LOG.purge" in_host apt-get purge -y kvm-lifecycle-dkms ||
		die "$host: the package cannot be removed: see $LOG.purge"
	modules_state >"$WORK/after"
	echo "$before" | cmp -s - "$WORK/after" ||
		die "$host: the package leaves something behind: $(echo "$before" | diff - "$WORK/after" | sed -n 2p)"
	left=$(cd "$ROOT" && as_root find var/lib/dkms usr -path '*kvm-lifecycle*' | head -n 1)
	[ -z "$left" ] || die "$host: the package leaves /$left behind"
	keep_host none

	step "$host: dkms' own autopkgtest (log: $LOG.autopkgtest)"
	run_logged "$LOG.autopkgtest" autopkgtest || die "$host: dkms' autopkgtest fails: see $LOG.autopkgtest"
	grep -q "^I: PASS .*$RELEASE\$" "$LOG.autopkgtest" ||
		die "$host: dkms' autopkgtest has not tested $RELEASE: see $LOG.autopkgtest"
	as_root rm -rf "$WORK"
	echo "$KEY" >"$CACHE/out/$host-x86-none/key"
}

# What a host says of the modules that it has loaded.
check_loaded()
{
	console=$TOP/results/$host/x86-$1/console
	grep -q "lab: $2" "$console" || die "$host, $3: the console does not say '$2': see $console"
	step "$host, $3: $2"
}

prove()
{
	set -- $(awk -v host="$1" '$1 == host' "$LIST")
	host=$1 SUITE=$2 BASE=$3 FLAVOUR=$4
	RESULTS=$TOP/results/$host
	TABLE=$TOP/patches/$BASE/debian
	LOG=$CACHE/logs/$host.log
	BASE_TAR=$CACHE/debian/$host-$( (sources; sed -n '/^make_base/,/^}/p' "$0") | hash_of).tar
	mkdir -p "$CACHE/debian" "$CACHE/logs"
	[ -f "$BASE_TAR" ] || make_base
	KEY=$( (echo "$BASE_TAR"; cat "$DEB" "$TOP/tools/lab/debian-init"; sed -n '/^keep_host/,/^}/p; /^make_hosts/,/^}/p' "$0") | hash_of)
	[ "$(cat "$CACHE/out/$host-x86-none/key" 2>/dev/null)" = "$KEY" ] || make_hosts

	from=$(tests_base "$BASE")
	"$TOP/tools/lab/source.sh" "$from"
	"$TOP/tools/lab/tests.sh" "$from" x86
	ln -sfn "$(readlink "$CACHE/tests/$from-x86")" "$CACHE/tests/$host-x86"

	rm -rf "${RESULTS:?}"/x86-*
	tests=$(awk -F'\t' -v only="$TEST" '!/^#/ && NF && !seen[$1]++ && (only == "" || index(" " only " ", " " $1 " ")) { print $1 }' "$TABLE")
	[ -n "$tests" ] || die "unknown TEST=$TEST: choose from those in $TABLE"
	for variant in none all; do
		echo "$host x86 $variant $RESULTS/x86-$variant" $tests
	done | run_hosts
	awk -f "$TOP/tools/lab/hosts.awk" -f "$TOP/tools/lab/report.awk" -v results="$RESULTS" -v arches=x86 -v variants='none all' \
		-v only="$TEST" "$TABLE" || die "$host: not every cell is as it must be: see above, and the logs in $RESULTS"
	check_loaded none 'kvm: stock' 'the package removed'
	check_loaded none 'kvm_amd: stock' 'the package removed'
	check_loaded all 'status: the patched KVM is installed, and what is loaded of KVM is patched' 'the package installed'
}

"$TOP/tools/lab/setup.sh"
one_run
"$TOP/tools/dkms/deb.sh"
"$TOP/tools/lab/busybox.sh" x86
for name in $HOST; do
	prove "$name"
done
step "$HOST: as it must be, with the distribution's modules and with ours"
