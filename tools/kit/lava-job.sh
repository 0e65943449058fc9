#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# lava-job.sh: a job for LAVA, which boots a device with a kernel of yours and runs the kit of
# make kselftest-kit there: each subtest is a test case of LAVA, see tools/kit/host/lava.  It is
# written to results/lava-DEVICE-ARCH.yaml and validated by LAVA's own schema; nothing is
# submitted.
#
#   DEVICE=x86      the device type, of tools/kit/lava-devices
#   ARCH=arm64      for a type that is there for several
#   URL=https://... the folder of the files that LAVA fetches: kernel, modules.tar.xz, the kit,
#                   and root.tar.xz, a root file system with wget, tar and xz, and its device tree
#                   where the table names one; iPXE and GRUB also want initrd.gz; qemu takes
#                   root.ext4.xz instead of root.tar.xz and modules.tar.xz
#   OPTIONS=...     of the kit's command; without it: --unsafe --load-modules
#   BASE=v7.3       which kit

. "$(dirname "$0")/../lib.sh"

DEVICES=$TOP/tools/kit/lava-devices
SCHEMA=/usr/share/lava-common/lava-schema.py
BASE=${BASE:-$(default_base)}
OPTIONS=${OPTIONS:---unsafe --load-modules}
RESULTS=${RESULTS:-$TOP/results}
# The kit's own limit, and for the root file system to be fetched.
TEST_MINUTES=15

rows()
{
	grep -v '^#' "$DEVICES"
}

check_base "$BASE"
types=$(rows | cut -f1 | uniq | paste -sd' ')
[ -n "${DEVICE:-}" ] || die "which device?  Give DEVICE=type, one of $types"
found=$(rows | awk -F'\t' -v type="$DEVICE" -v arch="${ARCH:-}" '$1 == type && (!arch || $2 == arch)')
[ -n "$(rows | awk -F'\t' -v type="$DEVICE" '$1 == type')" ] ||
	die "unknown DEVICE=$DEVICE: choose from $types, or add a line to ${DEVICES#"$TOP"/}"
case $(echo "$found" | grep -c .) in
0)	die "DEVICE=$DEVICE is not there for ARCH=$ARCH: choose from $(rows | awk -F'\t' -v type="$DEVICE" '$1 == type { print $2 }' | paste -sd' ')" ;;
1)	;;
*)	die "DEVICE=$DEVICE is there for $(echo "$found" | cut -f2 | paste -sd' '): give one of them as ARCH" ;;
esac
case ${URL:-} in
http://?*|https://?*) ;;
'')	die "where are the files?  Give URL=https://..., the folder of kernel, root file system and kit" ;;
*)	die "URL=$URL is none that LAVA could fetch from: give one with https:// or http://" ;;
esac
case $URL$OPTIONS in
*[\"\'\\\`\$\&\;\|]*) die "URL and OPTIONS go into a shell script: give them without quotes, backslashes and \$&;|" ;;
esac
URL=${URL%/}
arch=$(echo "$found" | cut -f2) method=$(echo "$found" | cut -f3) dtb=$(echo "$found" | cut -f4)
KIT=kvm-lifecycle-kselftest-$(package_version)-$BASE-$arch
JOB=$RESULTS/lava-$DEVICE-$arch.yaml

# context: the settings of qemu's device type: the machine of the lab's host, whose CPU has
# virtualization, emulated.  For x86 the type knows no machine and no CPU.
context()
{
	host=$(hosts_of "$arch" | head -n 1)
	machine=$(host_get "$host" machine) cpu=$(host_get "$host" cpu)
	cat <<-END
	context:
	  arch: $([ "$arch" = x86 ] && echo x86_64 || echo aarch64)
	  memory: 2048
	  no_kvm: 1
	END
	if [ "$arch" = x86 ]; then
		echo "  extra_options: ['-machine', '$machine', '-cpu', '$cpu', '-smp', '$(host_get "$host" smp)']"
	else
		printf '  machine: %s\n  cpu: %s\n' "$machine" "$cpu"
		echo "  extra_options: ['-smp', '$(host_get "$host" smp)']"
	fi
}

deploy()
{
	echo "- deploy:"
	echo "    timeout: {minutes: 20}"
	if [ "$method" = qemu ]; then
		cat <<-END
		    to: tmpfs
		    images:
		      kernel:
		        image_arg: -kernel {kernel} -append "console=$([ "$arch" = x86 ] && echo ttyS0 || echo ttyAMA0) root=/dev/vda rw"
		        url: $URL/kernel
		      rootfs:
		        image_arg: -drive file={rootfs},format=raw,if=virtio
		        url: $URL/root.ext4.xz
		        compression: xz
		END
		return
	fi
	cat <<-END
	    to: tftp
	    kernel:
	      url: $URL/kernel$([ "$method" != u-boot ] || printf '\n      type: image')
	    modules:
	      url: $URL/modules.tar.xz
	      compression: xz
	    nfsrootfs:
	      url: $URL/root.tar.xz
	      compression: xz
	END
	[ "$dtb" = - ] || printf '    dtb:\n      url: %s\n' "$URL/$dtb"
	[ "$method" = u-boot ] || printf '    ramdisk:\n      url: %s\n      compression: gz\n' "$URL/initrd.gz"
}

boot()
{
	echo "- boot:"
	echo "    timeout: {minutes: 15}"
	echo "    method: $method"
	if [ "$method" = qemu ]; then echo "    media: tmpfs"; else echo "    commands: nfs"; fi
	cat <<-'END'
	    auto_login:
	      login_prompt: "login:"
	      username: root
	    prompts: ["root@[^:]*:[^#]*# ", "/ # "]
	END
}

write_job()
{
	cat <<-END
	# SPDX-License-Identifier: GPL-2.0-only
	# Made by make lava-job, for $KIT.
	job_name: kvm-lifecycle $BASE $arch on $DEVICE
	device_type: $DEVICE
	visibility: public
	priority: medium
	timeouts:
	  job: {minutes: 60}
	  action: {minutes: 20}
	  connection: {minutes: 2}
	END
	[ "$method" != qemu ] || context
	echo "actions:"
	deploy
	boot
	# Signals come through the kernel's log: a report of the kernel cannot come into the middle
	# of one.
	cat <<-END
	- test:
	    timeout: {minutes: $TEST_MINUTES}
	    definitions:
	    - from: inline
	      name: kvm-lifecycle
	      path: inline/kvm-lifecycle.yaml
	      lava-signal: kmsg
	      repository:
	        metadata:
	          format: Lava-Test Test Definition 1.0
	          name: kvm-lifecycle
	          description: The life of vCPUs, from KVM_CREATE_VCPU to the last free
	        run:
	          steps:
	          - mkdir -p /var/tmp/kvm-lifecycle && cd /var/tmp/kvm-lifecycle
	          - lava-test-case fetch-kit --shell wget -q -O kit.tar.xz $URL/$KIT.tar.xz
	          - lava-test-case unpack-kit --shell tar -xf kit.tar.xz
	          - $KIT/lava $OPTIONS
	END
}

"$TOP/tools/lab/setup.sh"
{ mkdir -p "$RESULTS" && write_job >"$JOB.new"; } 2>/dev/null || die "cannot write to $RESULTS: give the folder to this user"
"$SCHEMA" job --strict "$JOB.new" >"$JOB.log" 2>&1 ||
	die "LAVA's schema does not take $JOB.new: $(sed -n 's/^  -> //p' "$JOB.log" | paste -sd' ' | grep . || tail -n 1 "$JOB.log")"
mv "$JOB.new" "$JOB"
rm "$JOB.log"
step "made $JOB, which LAVA's schema takes; files in $URL: $(grep -o "$URL/[^ ]*" "$JOB" | sed "s#^$URL/##" | sort -u | paste -sd' ')"
