#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# check-kit.sh: the kit for real hosts, as `make kselftest-kit` makes it, in emulated
# hosts that have nothing but busybox: unpacked and run by its own command, with
# kvm_lifecycle built by its own script.  ALL=1 runs all of its tests there, and
# not only some that are short.

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/testing/tap.sh"

BASE=${BASE:-$(default_base)}
check_base "$BASE"
pick_hosts
# The runs in a host are in HOST_hosts below, and their checks in HOST_judged.
for host in $HOST; do
	grep -q "^${host}_hosts()" "$0" ||
		die "no kit is run in HOST=$host: choose from $(sed -n 's/^\([a-z]*\)_judged()$/\1/p' "$0" | paste -sd' ')"
done

# on_host HOST PATCHES NAME: a script for this host, from standard input, in place of a
# test of the lab's.  Lines that begin with "@ " are looked for here.
on_host()
{
	{
		printf '#!/bin/sh\nPATCHES=%s\n' "$2"
		cat <<-'EOT'
			TESTS=${0%/*}
			# Where busybox puts it by itself, and upstream's runner looks for another one.
			mkdir -p /usr/bin
			ln -sf /bin/busybox /usr/bin/timeout
			hostname the-name-of-this-host
			# As a user finds it.
			rmmod kvm_lifecycle 2>/dev/null
			if [ ! -d /tmp/kit ]; then
				mkdir /tmp/kit
				tar -xJf "$TESTS/kit.tar.xz" -C /tmp/kit
			fi
			cd /tmp/kit/kvm-* || exit
			cp "$TESTS/kvm_lifecycle.ko.$PATCHES" kvm_lifecycle.ko

			state()
			{
				cut -d' ' -f1 /proc/modules | sort
				grep -H '' /sys/module/kvm*/parameters/* /sys/kernel/debug/fail*/* /sys/kernel/slab/*/failslab 2>/dev/null
				cat /sys/fs/cgroup/cgroup.subtree_control
				find /sys/fs/cgroup -type d
				mount -t tracefs tracefs /sys/kernel/tracing
				ls /sys/kernel/tracing/instances
				umount /sys/kernel/tracing
				grep debugfs /proc/mounts
				ls -l /proc/[0-9]*/fd 2>/dev/null | grep -c kvm-v
				ls /tmp
				ps -o comm | grep -c '_test$'
			}

			# Events during a run: it is interrupted where a test has turned the knobs
			# of fault injection, ...
			faults()
			{
				# They are turned for some milliseconds at a time: no process is fast enough.
				knob=N
				until [ "$knob" = Y ]; do
					read -r knob </sys/kernel/debug/failslab/task-filter
				done
				interrupt
			}

			# ... or parameters of KVM; or killed there, and its guardian takes its time.
			changed()
			{
				cat /sys/module/kvm/parameters/* >../parameters 2>/dev/null
				while cat /sys/module/kvm/parameters/* 2>/dev/null | cmp -s - ../parameters; do
					sleep 0.2
				done
			}

			parameters()
			{
				changed
				interrupt
			}

			killed()
			{
				changed
				kill -KILL $(cat ../pid)
			}

			# Again and again, as an impatient user does, until the run has ended.
			interrupt()
			{
				while kill -INT $(cat ../pid) 2>/dev/null; do
					sleep 0.2
				done
			}

			# Somebody comes with a VM while this test runs.
			visitor()
			{
				until ps -o comm | grep -q "^$1"; do
					sleep 0.2
				done
				/bin/keep_vm &
				vm=$!
				trap 'kill $vm; exit' TERM
				wait $vm
			}

			# kit NAME STATUS ARGUMENT...: the kit ends so, and leaves the host as it was.
			# MEANWHILE is the event during this run.
			MEANWHILE=true
			kit()
			{
				name=$1 want=$2
				shift 2
				echo "@ run $name"
				rm -rf results
				state >../before
				$MEANWHILE &
				meanwhile=$!
				MEANWHILE=true
				sh -c 'echo $$ >../pid; exec ./run "$@"' sh --limit 1500 "$@" 2>&1
				got=$?
				kill $meanwhile 2>/dev/null
				wait $meanwhile
				for pass in 1 2 3 4 5 6; do
					! ls -d /tmp/tmp.* >/dev/null 2>&1 || sleep 10
				done
				[ -e results ] || echo "@ $name has done nothing"
				state >../after
				[ "$got" = "$want" ] && echo "@ $name ends as it must" || echo "@ $name exit status $got"
				diff ../before ../after && echo "@ $name leaves the host as it was"
				echo "@ end $name"
				for file in results/*; do
					[ ! -f "$file" ] || gzip -c <"$file" | base64 -w 900 | sed "s#^#file $name ${file##*/} #"
				done
			}
		EOT
		cat
	} >"$WORK/cache/tests/$1/$3"
	chmod +x "$WORK/cache/tests/$1/$3"
	echo "$2 $3" >>"$WORK/hosts-$1"
}

amd_hosts()
{
	on_host amd all whole <<-EOT
		kit whole 0 --unsafe --load-modules --parameters $(short -t xen_evtchn_target_test -t vcpu_exclusive_test -t svm_ga_log_test)
	EOT
	on_host amd all safe <<-'EOT'
		umount /sys/kernel/debug
		kit safe 0 -t vcpu_index_test -t vcpu_create_test -t svm_ga_log_test
		mount -t debugfs debugfs /sys/kernel/debug
	EOT
	on_host amd all foreign <<-'EOT'
		/bin/keep_vm &
		vms=$!
		/bin/keep_vm mapping &
		vms="$vms $!"
		sleep 1
		kit foreign 2 -t vcpu_index_test
		kit foreign_unsafe 2 --unsafe -t vcpu_index_test
		kit foreign_modules 2 --load-modules --force -t vcpu_index_test
		kit forced 0 --unsafe --force -t amd_iommu_ga_log_test
		kill $vms
		MEANWHILE='visitor vcpu_index_test'
		kit late 0 -t vcpu_index_test -t xen_evtchn_target_test
	EOT
	on_host amd all panics <<-'EOT'
		sysctl -w kernel.panic_on_warn=1 vm.panic_on_oom=1
		kit panics 2 -t vcpu_index_test
		sysctl -w kernel.panic_on_warn=0 vm.panic_on_oom=0
	EOT
	# A test that is killed after it has turned a knob and written a parameter: certain here,
	# and by chance in a storm.
	on_host amd all parameters <<-'EOT'
		mv kvm/xen_evtchn_target_test ..
		printf '#!/bin/sh\necho Y >/sys/kernel/debug/failslab/task-filter || exit\n[ "$MAY_CHANGE" != "parameters " ] || echo 0 >/sys/module/kvm/parameters/halt_poll_ns\nsleep 600\n' >kvm/xen_evtchn_target_test
		chmod +x kvm/xen_evtchn_target_test
		MEANWHILE=parameters
		kit parameters 130 --parameters -t xen_evtchn_target_test -t vcpu_index_test
		MEANWHILE=killed
		kit killed 137 --parameters -t xen_evtchn_target_test -t vcpu_index_test
		mv ../xen_evtchn_target_test kvm/
		kit kept 0 --unsafe -t vcpu_lifecycle_stress
	EOT
	on_host amd all no_module <<-'EOT'
		rm kvm_lifecycle.ko
		kit no_module 4 --unsafe -t xen_evtchn_target_test
	EOT
	on_host amd all other_module <<-'EOT'
		sed 's/vermagic=[0-9]/vermagic=9/' "$TESTS/kvm_lifecycle.ko.$PATCHES" >kvm_lifecycle.ko
		kit other_module 4 --unsafe -t xen_evtchn_target_test
	EOT
	on_host amd all interrupted <<-'EOT'
		MEANWHILE=faults
		kit interrupted 130 --unsafe -t vcpu_create_fault_test -t xen_evtchn_target_test
	EOT
	on_host amd all avic_off <<-'EOT'
		rmmod kvm_amd
		modprobe kvm_amd
		kit avic_off 4 --unsafe -t svm_ga_log_test
		kit avic_on 0 --unsafe --load-modules='avic=1 force_avic=1' -t amd_iommu_ga_log_test
		ko=/lib/modules/$(uname -r)/kvm-amd.ko
		mv $ko $ko.away
		echo >$ko
		kit other_file 2 --load-modules -t vcpu_index_test
		mv $ko.away $ko
		rmmod kvm_amd kvm irqbypass
		kit no_kvm 2
		kit loaded 0 --load-modules -t vcpu_index_test
	EOT
	on_host amd none red <<-'EOT'
		kit red 1 --unsafe -t xen_evtchn_target_test -t svm_ga_log_test
	EOT
}

# Here a VM is kept for as long as the host runs, see keep_vm.c.
arm_hosts()
{
	on_host arm all whole <<-EOT
		kit whole 0 --unsafe --force --parameters $(short -t vcpu_index_test -t vgic_create_race_test -t timer_failed_vcpu_test)
	EOT
	on_host arm all foreign <<-'EOT'
		/bin/keep_vm mapping &
		vm=$!
		sleep 1
		kit foreign 2 -t vcpu_index_test
		kit foreign_unsafe 2 --unsafe -t vcpu_index_test
		kill $vm
		sysctl -w kernel.panic_on_oops=1
		kit panics 2 --force -t vcpu_index_test
		sysctl -w kernel.panic_on_oops=0
		kit safe 0 --force -t vcpu_index_test -t vgic_create_race_test
	EOT
	on_host arm all interrupted <<-'EOT'
		MEANWHILE=faults
		kit interrupted 130 --unsafe --force -t vgic_redist_slot_test -t vgic_create_race_test
	EOT
	on_host arm none red <<-'EOT'
		kit red 1 --unsafe --force -t vgic_preinit_regs_test -t vgic_create_race_test
	EOT
}

# short ARGUMENT...: unless all is to be run.
short()
{
	[ -n "${ALL:-}" ] || echo "$*"
}

# make_hosts HOST: all that its hosts are made of.
make_hosts()
{
	arch=$(host_get "$1" arch)
	tar=$(ls "$WORK/kits"/kvm-lifecycle-kselftest-*-"$BASE-$arch.tar.xz")
	tests=$WORK/cache/tests/$1
	mkdir -p "$tests" "$WORK/unpacked/$1"
	ln -s "$1" "$WORK/cache/tests/kit-$BASE-$arch"
	cp "$tar" "$tests/kit.tar.xz"
	tar -xJf "$tar" -C "$WORK/unpacked/$1" --strip-components=1
	arch_env "$arch"
	for patches in all none; do
		mkdir -p "$WORK/module"
		accepts "$1, patches: $patches: the kit builds kvm_lifecycle" \
			env KDIR="$(readlink -f "$CACHE/out/$BASE-$arch-$patches")/build" ARCH="$KARCH" CROSS_COMPILE="$CROSS" \
			KVML_KVM="$(kvm_of "$(readlink -f "$CACHE/out/$BASE-$arch-$patches")")" \
			"$WORK/unpacked/$1/module/build" "$WORK/module"
		cp "$WORK/module/kvm_lifecycle.ko" "$tests/kvm_lifecycle.ko.$patches"
	done
	"$1_hosts"
	for patches in all none; do
		echo "$BASE $1 $patches $WORK/results/$1-$patches $(sed -n "s/^$patches //p" "$WORK/hosts-$1" | paste -sd' ')"
	done >>"$WORK/hosts"
}

# The files that hosts have sent: in $WORK/results/HOST/NAME, beside their output.
collect()
{
	for ktap in "$WORK/results/$1"-*/*.ktap; do
		grep -v '^file ' "$ktap" >>"$WORK/results/$1.said"
		sed -n 's/^file \([a-z_]*\) \([a-z.]*\) .*/\1 \2/p' "$ktap" | sort -u | while read -r name file; do
			mkdir -p "$WORK/results/$1/$name"
			sed -n "s/^file $name $file //p" "$ktap" | base64 -d | gzip -d >"$WORK/results/$1/$name/$file"
		done
	done
}

# in_file NAME FILE REGEXP: FILE is one of those above, for each host.
in_file()
{
	cp "$WORK/results/$2" "$WORK/output" 2>/dev/null || echo "there is no $2" >"$WORK/output"
	said "$1" "$3"
}

nothing_names_the_host()
{
	! grep -r -e the-name-of-this-host "$WORK/results/$1"/*/
}

# judge HOST SKIPPED PANICS: so many subtests have to skip even with all that a host can
# have; with these settings it does not run.
judge()
{
	for name in $(cat "$WORK/cache/tests/$1"/* | tr -d '\0' | sed -n 's/^[A-Z0-9=]* *kit \([a-z_]*\) [0-9].*/\1/p' | sort -u); do
		# What this run said, and no other.
		sed -n "/^@ run $name\$/,/^@ end $name\$/p" "$WORK/results/$1.said" >"$WORK/results/$1-$name.said"
		in_file "$1: $name ends as it must" "$1-$name.said" "^@ $name ends as it must"
		in_file "$1: $name leaves the host as it was" "$1-$name.said" "^@ $name leaves the host as it was"
		folder=$WORK/results/$1/$name
		[ -d "$folder" ] || continue
		grep -q '^Bail out!' "$folder/kselftest.ktap" || accepts "$1: $name: KTAP, and a reason for each skip" results kit ktap "$folder"
		accepts "$1: $name: JUnit" results kit junit "$folder"
	done
	accepts "$1: nothing names the host" nothing_names_the_host "$1"
	in_file "$1: all passes with the series" "$1/whole/summary.txt" "^all +[1-9][0-9]* +0 +$2\$"
	in_file "$1: the kernel's reports are counted" "$1/whole/summary.txt" '^reports: +[0-9]+ lines of kernel.log'
	in_file "$1: the series is seen" "$1/whole/summary.txt" '^series: +yes'
	in_file "$1: nothing is run while others run VMs" "$1.said" \
		'^run: others use KVM, and a run may break their VMs: keep_vm \(process [0-9]+\), keep_vm \(process [0-9]+\); end them, or add --force$'
	in_file "$1: nor where a report of the kernel ends the machine" "$1.said" \
		"^run: the tests look for what the kernel reports, and a report ends this machine: sysctl -w $3, if nobody relies on it\$"
	for name in foreign foreign_unsafe panics; do
		in_file "$1: $name: and nothing is done" "$1.said" "^@ $name has done nothing"
	done
	in_file "$1: without --unsafe, what would damage the kernel is skipped" "$1/safe/kselftest.ktap" \
		'^ok [23] selftests: kvm: [a-z_]* # SKIP it damages a kernel without the series, .*not looked for without --unsafe'
	in_file "$1: an interrupted run says so" "$1/interrupted/kselftest.ktap" '^Bail out! interrupted'
	in_file "$1: and in the summary" "$1/interrupted/summary.txt" '^Bail out! interrupted; 2 of 2 tests did not come to their end$'
	in_file "$1: without the series, its lack is seen" "$1/red/summary.txt" '^series: +no'
	in_file "$1: and what would damage the kernel is skipped" "$1/red/kselftest.ktap" \
		'^ok 2 selftests: kvm: [a-z_]* # SKIP it damages a kernel without the series'
	in_file "$1: red is red" "$1/red/kselftest.ktap" '^not ok 1 selftests: kvm: '
	"$1_judged"
}

amd_judged()
{
	in_file 'amd: and why' amd/red/junit.xml 'message="[^"]*the target was changed to vCPU[01], the event went to [01]"'
	in_file 'amd: skipped without an IOMMU that posts interrupts' amd/whole/summary.txt \
		'this IOMMU has no virtual APIC mode \(its features are 0x[0-9a-f]+\): real entries in the GA Log take '
	in_file 'amd: no modules are loaded while others run VMs' amd.said "^run: others use KVM, and its modules are not touched meanwhile: keep_vm "
	in_file 'amd: skipped with --force' amd/forced/summary.txt 'it unloads kvm_amd, and loads it again: \./run --load-modules$'
	in_file 'amd: somebody comes with a VM: what has begun ends' amd/late/kselftest.ktap '^ok 1 selftests: kvm: vcpu_index_test$'
	in_file 'amd: and no other test begins' amd/late/kselftest.ktap \
		'^ok 2 selftests: kvm: xen_evtchn_target_test # SKIP others use KVM: keep_vm \(process [0-9]+\): they have come since this run began'
	in_file 'amd: no parameter is written' amd/kept/kselftest.ktap '^# # calls: set_param( EPERM [0-9]+)?$'
	in_file 'amd: skipped without --parameters' amd/kept/summary.txt 'it writes parameters of KVM that all VMs share: \./run --parameters$'
	in_file 'amd: skipped without --unsafe' amd/safe/summary.txt 'without unsafe=1: this test drives KVM from inside: \./run --unsafe$'
	in_file 'amd: skipped without kvm_lifecycle' amd/no_module/summary.txt \
		"kvm_lifecycle is not loaded: the kernel's headers are not in /lib/modules/[^ ]*, and no kvm_lifecycle\.ko is in the kit's folder"
	in_file 'amd: skipped with one for another kernel' amd/other_module/summary.txt "kvm_lifecycle\.ko in the kit's folder is for 9"
	in_file 'amd: skipped with AVIC off' amd/avic_off/summary.txt 'AVIC is off in kvm_amd: CPUID lacks AVIC: '
	in_file 'amd: AVIC is on for the run' amd/avic_on/summary.txt '^kvm_amd: .*avic=Y'
	in_file 'amd: a run that is killed leaves its report' amd/killed/kselftest.ktap '^Bail out! interrupted'
	in_file 'amd: a kvm_amd that might not come back stays' amd.said '^run: modprobe cannot be shown to load the kvm_amd that is loaded, '
	in_file 'amd: no /dev/kvm' amd.said '^run: there is no /dev/kvm: load KVM with --load-modules, or by modprobe kvm_amd$'
}

arm_judged()
{
	in_file 'arm: and why' arm/red/junit.xml 'GICD_IIDR write before init: want 0, got -1 \(EBUSY\)'
}

echo TAP version 13
prepare "$BASE" "$(kernels_of $HOST)" 'all none'
mkdir -p "$WORK/cache/tests" "$WORK/kits" "$WORK/again"
for folder in out module busybox qemu; do
	ln -s "$CACHE/$folder" "$WORK/cache/$folder"
done
accepts 'the kit is made' env BASE="$BASE" ARCH="$(arches_of $HOST)" RESULTS="$WORK/kits" "$TOP/tools/kit/kselftest.sh" pack
accepts 'and once more' env BASE="$BASE" ARCH="$(arches_of $HOST)" RESULTS="$WORK/again" "$TOP/tools/kit/kselftest.sh" pack
accepts 'which gives the same files' diff -r "$WORK/kits" "$WORK/again"
for host in $HOST; do
	make_hosts "$host"
done
# Emulated hosts can be many times slower than real ones, if the machine is busy.
export TEST_TIMEOUT=1800
export RESULTS="$WORK/results" SUITE=kit KVM_LIFECYCLE_CACHE="$WORK/cache"
run_hosts <"$WORK/hosts" >&2
for host in $HOST; do
	collect "$host"
	case $host in
	# Tests that take an IOMMU that posts interrupts.
	amd)	judge "$host" 3 'kernel\.panic_on_warn=0 vm\.panic_on_oom=0' ;;
	*)	judge "$host" 0 'kernel\.panic_on_oops=0' ;;
	esac
done
[ -z "${KEEP:-}" ] || cp -r "$WORK/results" "$KEEP"
report
