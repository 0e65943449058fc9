#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# dkms-check.sh: test the Debian packages.  Make Debian hosts with mmdebstrap, install
# the one that replaces KVM as a user would, upgrade the kernel, take the observer in its
# place, remove that again, and boot the host with the first and with none of them:
# Debian's own kernel image, in QEMU, with the modules that it finds in its root file
# system.  What drives KVM is in no package: the tests have a kvm_lifecycle of their own.
#
# In between, dkms' own autopkgtest and those of debian/tests have to pass.
#
#   HOST='debian-13'    which Debian hosts, of tools/dkms/debians (default: all)
#   TEST='a b'          these tests alone
#
# With the distribution's modules the tests must be red, with ours green, as
# patches/expect says, with the needs of patches/needs that Debian's kernel meets.  The
# results are in results/DATE-HOST/amd-*.

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/lab/apt.sh"

export START
LIST=$TOP/tools/dkms/debians
# The emulated host that boots them, of tools/lab/hosts.
MACHINE=amd
ALL=$(awk '!/^#/ && !seen[$1]++ { print $1 }' "$LIST" | paste -sd' ')
HOST=${HOST:-$ALL}
TEST=${TEST:-}
VERSION=$(package_version)
DEB=$TOP/kvm-lifecycle-kvm-dkms_${VERSION}_all.deb
OBSERVER=$TOP/kvm-lifecycle-dkms_${VERSION}_all.deb

for name in $HOST; do
	echo " $ALL " | grep -qF " $name " || die "unknown HOST=$name: choose from $ALL"
done
can_be_root || die "a root file system cannot be made without root: run this as root, or install sudo"

# in_host COMMAND...: in the root file system, with the /proc and /dev of a host.  A host leaves
# most of its CPUs to its VMs; here there are none.
in_host()
{
	as_root unshare -m sh -c 'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"' \
		"$ROOT" env LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive BUILD_JOBS="$JOBS" "$@"
}

# kernels: of this host, in order: a suite, the end of its packages' names, a series,
# and its check.
kernels()
{
	awk -v host="$host" '$1 == host { print $2, $3, $4, $5 }' "$LIST"
}

# The archive, as this machine has it.
sources()
{
	for part in "$SUITE" "$SUITE-updates" "$SUITE-security" "$SUITE-backports"; do
		echo "deb $(mirror_for "$part") $part main"
	done
}

# kernel_name SUITE NAME: a kernel, or where it is gone the newest of its series there.
kernel_name()
{
	read_suite "$1" || die "$host: linux-image-$2 is in Debian's $1, which cannot be read (see above): choose another HOST"
	if [ -n "$(versions package "linux-image-$2" "$1")" ]; then
		echo "$2"
		return
	fi
	like=$(echo "$2" | sed -n 's/^\([0-9]*\.[0-9]*\.\)[0-9]*\([^0-9].*\)$/linux-image-\1[0-9]*\2/p')
	found=$(in_suite "$1" 60 apt-cache pkgnames linux-image- | grep -x "$like" | sort -V | tail -n 1)
	[ -n "$found" ] || die "$host: Debian's $1 has no linux-image-$2: name another kernel in $LIST"
	step "$host: linux-image-$2 is gone, and this is $found" >&2
	echo "${found#linux-image-}"
}

# Debian's own: the first kernel, its headers, and DKMS.  Packages for later lie in
# /lab/1, the first kernel's source, /lab/2, the second kernel, and so on.
make_base()
{
	need_space "$CACHE" 6
	step "$host: installing Debian (log: $LOG)"
	as_root rm -f "$CACHE/debian/$host".*.list "$CACHE/debian/$host".*.tar*
	sources | while read -r line; do
		part=${line% main}
		! read_suite "${part##* }" || echo "$line"
	done >"${BASE_TAR%.tar}.list"
	set --
	count=0
	while read -r suite name series _; do
		name=$(kernel_name "$suite" "$name") || exit
		kernel="linux-image-$name/$suite linux-headers-$name/$suite"
		later=linux-source-$(base_get "$series" series)/$suite
		count=$((count + 1))
		if [ "$count" -eq 1 ]; then
			set -- "--include=$(echo $kernel | tr ' ' ,)"
		else
			later="$kernel $later"
		fi
		set -- "$@" "--customize-hook=export APT_CONFIG=\"\$MMDEBSTRAP_APT_CONFIG\" &&
			apt-get clean && apt-get install -y --download-only $later &&
			mkdir -p \"\$1/lab/$count\" && mv \"\$1\"/var/cache/apt/archives/*.deb \"\$1/lab/$count/\""
	done <<-END
		$(kernels)
	END
	run_logged "$LOG" as_root mmdebstrap --variant=apt --format=tar --skip=output/dev \
		--include=initramfs-tools,dkms,openssl,zstd "$@" "$SUITE" "$BASE_TAR.tmp" "${BASE_TAR%.tar}.list" ||
		die "$host: cannot install Debian: see $LOG"
	mv -f "$BASE_TAR.tmp" "$BASE_TAR"
}

# The modules of $RELEASE that are not as its packages have them.
changed_modules()
{
	in_host sh -c '
	dpkg -S "*/modules/$1/*" >/tmp/owned
	dpkg -V $(sed -n "s/^\([^, ]*\): .*/\1/p" /tmp/owned | sort -u)
	sed "s#^[^/]*##; s#^/usr/lib/#/lib/#" /tmp/owned | sort >/tmp/files
	find "/lib/modules/$1/" ! -type d ! -name "modules.*" | sort | comm -23 - /tmp/files
	for module in kvm kvm-amd kvm-intel; do
		modinfo -k "$1" -n "$module" | grep -v "/$1/kernel/"
	done' sh "$RELEASE"
}

# keep_host VARIANT FOLDER: the root file system as it is, for an emulated host to
# boot, with the kvm_lifecycle that is in this folder.
keep_host()
{
	out=$CACHE/out/$host-x86-$1
	file=$(as_root find "$2" -name 'kvm_lifecycle.ko*')
	rm -rf "$out" "$out.tmp"
	mkdir -p "$out.tmp"
	as_root cp "$ROOT/boot/vmlinuz-$RELEASE" "$out.tmp/image"
	as_root cp "$ROOT/boot/initrd.img-$RELEASE" "$out.tmp/initrd"
	as_root mke2fs -q -q -F -t ext4 -O '^has_journal' -d "$ROOT" "$out.tmp/root.img" \
		"$(($(as_root du -sm "$ROOT" | cut -f1) * 5 / 4 + 200))M" >/dev/null
	as_root chown -R "$(id -u):$(id -g)" "$out.tmp"
	mkdir -p "$CACHE/module/$host-x86-$1"
	case $file in
	*.xz)	as_root xz -dc "$file" ;;
	*)	as_root cat "$file" ;;
	esac >"$CACHE/module/$host-x86-$1/kvm_lifecycle.ko"
	mv "$out.tmp" "$out"
}

# They take packages by name, from a repository.
repository()
{
	mkdir "$WORK/apt" &&
	cp "$DEB" "$OBSERVER" "$WORK/apt/" &&
	(cd "$WORK/apt" && dpkg-scanpackages -m . >Packages) &&
	as_root cp -r "$WORK/apt" "$ROOT/lab/apt" &&
	echo 'deb [trusted=yes] file:/lab/apt ./' | as_root tee "$ROOT/lab/apt.list" &&
	in_host sh -c 'mv /lab/apt.list /etc/apt/sources.list && rm -rf /etc/apt/sources.list.d && apt-get update'
}

autopkgtest()
{
	repository &&
	in_host sh -c 'cd /root && /usr/lib/dkms/dkms-autopkgtest kvm-lifecycle-dkms kvm-lifecycle-kvm-dkms' &&
	as_root cp -r "$TOP/debian/tests" "$ROOT/lab/tests" || return
	# shellcheck disable=SC2013 # a word each
	for test in $(awk '$1 == "Tests:" { print $2 }' "$TOP/debian/tests/control" | paste -sd' '); do
		in_host sh -ec 'apt-get install -y "$(sed -n "/^Tests: $1\$/,/^\$/s/^Depends: \([^, ]*\).*/\1/p" /lab/tests/control)"
			echo "test $1"
			AUTOPKGTEST_TMP=/tmp "/lab/tests/$1"
			echo "passed $1"' sh "$test" || return
	done
}

# installed RELEASE: the package has built its modules for this kernel.
installed()
{
	in_host kvm-lifecycle-status -k "$1" >"$WORK/status" ||
		die "$host: no patched KVM is installed, but: $(tail -n 1 "$WORK/status") (log: $LOG)"
	step "$host, $1: $(grep -c '^patch ' "$WORK/status") patches, and $(tail -n 1 "$WORK/status")"
}

# skipped TEXT: no modules are built for $RELEASE, and the reason has this text.
skipped()
{
	if in_host kvm-lifecycle-status -k "$RELEASE" >"$WORK/status" || ! tail -n 1 "$WORK/status" | grep -qF "$1"; then
		die "$host: $RELEASE was to be skipped with the reason '$1', but: $(tail -n 1 "$WORK/status") (log: $LOG)"
	fi
	step "$host, $RELEASE: $(tail -n 1 "$WORK/status")"
}

# bring NUMBER: install the packages in /lab/NUMBER, as a user does.
bring()
{
	step "$host: apt install $(cd "$ROOT/lab/$1" && ls | sed -n 's/^\(linux-\(image\|source\)-[^_]*\)_.*/\1/p' | paste -sd' ') (log: $LOG.$1)"
	run_logged "$LOG.$1" in_host sh -c "apt-get install -y /lab/$1/*.deb" ||
		die "$host: the packages in /lab/$1 cannot be installed: see $LOG.$1"
}

# Nothing compiles: the packages are installed all the same.
broken()
{
	in_host sh -ec 'mv /usr/bin/make /usr/bin/make.real && printf "#!/bin/sh\nexit 2\n" >/usr/bin/make && chmod +x /usr/bin/make'
	bring 1
	in_host mv /usr/bin/make.real /usr/bin/make
	skipped 'the build failed, and the kernel keeps its own KVM'
}

# upgrade NUMBER: this kernel comes, and its predecessor goes.
upgrade()
{
	old=$RELEASE
	bring "$1"
	RELEASE=$(releases | grep -vxF "$old") || die "$host: /lab/$1 has no other kernel than $old: name a later one in $LIST"
	installed "$old"
	installed "$RELEASE"
	run_logged "$LOG.$1" in_host apt-get purge -y "linux-image-$old" "linux-headers-$old" ||
		die "$host: linux-image-$old cannot be removed: see $LOG.$1"
	left=$(cd "$ROOT" && find var/lib/dkms lib/modules/ -path "*$old*" | head -n 1)
	[ -z "$left" ] || die "$host: of linux-image-$old there is still /$left"
}

releases()
{
	find "$ROOT/lib/modules/" -mindepth 1 -maxdepth 1 -type d -printf '%f\n'
}

# lifecycle DEB FOLDER [KVM]: kvm_lifecycle with what drives KVM, in this folder of the host, as this
# package builds it, for the KVM that is in a folder or the distribution's.
lifecycle()
{
	as_root mkdir "$ROOT$2" &&
	in_host sh -ec '
	dpkg-deb -x "$1" /root/source
	cd /root/source/usr/src/kvm-lifecycle*
	for action in prepare compile; do
		UNSAFE=1 KVML_KVM=$3 tools/dkms/dkms-build.sh "$action" "$4" "/lib/modules/$4/build"
	done
	mv kvm_lifecycle.ko "$2/"' sh "/root/${1##*/}" "$2" "${3:-}" "$RELEASE" &&
	as_root rm -r "$ROOT/root/source"
}

# observed: the observer is installed for the KVM that the kernel's package brings, and that one is back.
observed()
{
	in_host sh -ec '
	[ ! -e "/lib/modules/$1/updates/kvm-lifecycle" ]
	case $(modinfo -k "$1" -n kvm) in */kernel/*) ;; *) exit 1 ;; esac
	modinfo -k "$1" -F built_for kvm_lifecycle | grep "kvm=[0-9a-f]"
	modinfo -k "$1" -p kvm_lifecycle | grep "^unsafe:refused"' sh "$RELEASE"
}

# The package, as a user installs it, and removes it.
make_hosts()
{
	WORK=$CACHE/debian/$host.tmp
	ROOT=$WORK/root
	trap 'as_root rm -rf "$WORK"' EXIT
	trap 'exit 130' INT TERM
	as_root rm -rf "$WORK" "$CACHE/debian/$host.key"
	mkdir -p "$WORK"
	need_space "$CACHE" 8
	step "$host: unpacking Debian"
	as_root mkdir "$ROOT"
	as_root tar -xf "$BASE_TAR" -C "$ROOT"
	as_root mkdir -p "$ROOT/lab" "$ROOT/dev"
	as_root cp "$TOP/tools/lab/debian-init" "$ROOT/lab/start"
	RELEASE=$(releases)

	step "$host: apt install ./${DEB##*/}, for linux-image-$RELEASE (log: $LOG)"
	as_root cp "$DEB" "$OBSERVER" "$ROOT/root/"
	run_logged "$LOG" in_host apt-get install -y "/root/${DEB##*/}" ||
		die "$host: the package cannot be installed: see $LOG"
	skipped 'this is an image or a chroot'
	as_root touch "$ROOT/etc/dkms/kvm-lifecycle.unsigned"
	skipped "the source of $RELEASE is not installed: apt install linux-source-"
	case $SHOWS in
	skip:*)	bring 1
		skipped "${SHOWS#skip:}" ;;
	*)	broken
		in_host dkms install -m kvm-lifecycle-kvm -v "$VERSION" -k "$RELEASE" >>"$LOG.1" 2>&1 ||
			die "$host: what was not built is not built by hand either: see $LOG.1"
		installed "$RELEASE" ;;
	esac
	count=$(kernels | wc -l)
	for number in $(seq 2 "$count"); do
		upgrade "$number"
	done
	as_root rm -rf "$ROOT"/lab/[0-9]*
	[ "$SHOWS" != boot ] || {
		run_logged "$LOG.all" lifecycle "$DEB" /lab/all "/lib/modules/$RELEASE/updates/kvm-lifecycle" ||
			die "$host: kvm_lifecycle cannot be built for the package's KVM: see $LOG.all"
		keep_host all "$ROOT/lab/all"
	}

	step "$host: apt install ./${OBSERVER##*/}, in its place"
	run_logged "$LOG.observer" in_host apt-get install -y "/root/${OBSERVER##*/}" ||
		die "$host: the observer cannot be installed: see $LOG.observer"
	case $SHOWS in
	skip:*)	;;
	*)	run_logged "$LOG.observed" observed ||
			die "$host: kvm_lifecycle is not installed for the distribution's KVM, or that is not back: see $LOG.observer"
		step "$host, $RELEASE: $(sed -n "s/^kvm-lifecycle: $RELEASE: //p" "$LOG.observer" | tail -n 1)" ;;
	esac

	step "$host: apt purge kvm-lifecycle-dkms kvm-lifecycle-kvm-dkms"
	run_logged "$LOG.purge" in_host apt-get purge -y kvm-lifecycle-dkms kvm-lifecycle-kvm-dkms ||
		die "$host: the packages cannot be removed: see $LOG.purge"
	changed=$(changed_modules | head -n 1)
	[ -z "$changed" ] || die "$host: the packages leave something behind: $changed"
	left=$(cd "$ROOT" && as_root find var/lib/dkms usr -path '*kvm-lifecycle*' | head -n 1)
	[ -z "$left" ] || die "$host: the packages leave /$left behind"
	[ "$SHOWS" != boot ] || {
		run_logged "$LOG.none" lifecycle "$OBSERVER" /lab/none ||
			die "$host: kvm_lifecycle cannot be built for the distribution's KVM: see $LOG.none"
		keep_host none "$ROOT/lab/none"
		step "$host: autopkgtests, dkms' own and ours (log: $LOG.autopkgtest)"
		run_logged "$LOG.autopkgtest" autopkgtest || die "$host: an autopkgtest fails: see $LOG.autopkgtest"
		[ "$(grep -c "^I: PASS .*$RELEASE\$" "$LOG.autopkgtest")" -eq 2 ] ||
			die "$host: dkms' autopkgtest has not tested both packages for $RELEASE: see $LOG.autopkgtest"
	}
	as_root rm -rf "$WORK"
	echo "$KEY" >"$CACHE/debian/$host.key"
}

# A host's own report on the modules that it has loaded.
check_loaded()
{
	console=$RESULTS/$MACHINE-$1/console
	grep -q "lab: $2" "$console" || die "$host, $3: the console does not say '$2': see $console"
	step "$host, $3: $2"
}

# kvm_lifecycle opens its files with the KVM that it was built for, and with no other:
# where the package has been installed and the host not rebooted, the distribution's.
check_lifecycle()
{
	for variant in none all; do
		file=$RESULTS/$MACHINE-$variant/other_kvm
		grep -qx 'exit 0' "$file.status" || die "$host, $variant: kvm_lifecycle does not know its KVM: see $file.log"
	done
	grep -q '^ok [0-9]* global\.pending$' "$file.ktap" || die "$host: no other KVM was tried: see $file.log"
	step "$host, the package installed: kvm_lifecycle opens nothing before the reboot, and its files after it"
}

prove()
{
	host=$1
	set -- $(kernels | tail -n 1)
	SUITE=${1%%-*} BASE=$3 SHOWS=$4
	LOG=$CACHE/logs/$host.log
	BASE_TAR=$CACHE/debian/$host.$( (sources; kernels | cut -d' ' -f1-3; sed -n '/^make_base/,/^}/p' "$0") | hash_of).tar
	mkdir -p "$CACHE/debian" "$CACHE/logs"
	[ -f "$BASE_TAR" ] || make_base
	KEY=$( (echo "$BASE_TAR"; kernels; cat "$DEB" "$OBSERVER" "$TOP"/debian/tests/* "$TOP/tools/lab/debian-init"; sed -n '/^changed_modules/,/^# What a host says/p' "$0") | hash_of)
	[ "$(cat "$CACHE/debian/$host.key" 2>/dev/null)" = "$KEY" ] || make_hosts
	[ "$SHOWS" = boot ] || {
		step "$host: as it must be ($SHOWS)"
		return
	}

	from=$(tests_base "$BASE")
	"$TOP/tools/lab/source.sh" "$from"
	"$TOP/tools/lab/tests.sh" "$from" x86
	rm -rf "${CACHE:?}/tests/$host-x86"
	mkdir "$CACHE/tests/$host-x86"
	ln -s "$(readlink "$CACHE/tests/$from-x86")"/* "$CACHE/tests/$host-x86/"
	RESULTS=$(new_results "$host")
	mkdir -p "$RESULTS/look"
	make_look x86 "$CACHE/tests/$host-x86" "$RESULTS/look"
	export TEST_FILE="$RESULTS/look.tar"
	tar -C "$RESULTS/look" -cf "$TEST_FILE" .
	rm -r "$RESULTS/look"

	known=$(known_tests "$BASE" $MACHINE debian)
	tests=$(echo "$known" | if [ -n "$TEST" ]; then grep -xF "$(printf '%s\n' $TEST)"; else cat; fi) ||
		die "unknown TEST=$TEST: choose from $(echo "$known" | paste -sd' ')"
	for variant in none all; do
		echo "$host $MACHINE $variant $RESULTS/$MACHINE-$variant" $tests other_kvm
	done | run_hosts
	judge --base "$BASE" --hosts $MACHINE --variants 'none all' --tests "$TEST" --kernel debian --kind "$host" ||
		die "$host: not every cell is as it must be: see above, and the logs in $RESULTS"
	check_loaded none 'kvm: stock' 'the packages removed'
	check_loaded none 'kvm_amd: stock' 'the packages removed'
	check_lifecycle
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
