#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# bochs.sh OPTION...: an emulated machine with VMX in Bochs, by the options that QEMU has.
#
#   -cpu MODEL -smp CPUS -m SIZE	SIZE in MiB, or as 1G
#   -kernel FILE -initrd FILE -append LINE
#   -machine pc -accel tcg,thread=single -nographic -no-reboot -nodefaults -serial mon:stdio
#		what it does in any case: its serial line is standard output, and a reboot ends it
#   --version
#
# It needs nothing of this project: a red that travels takes it along.

set -eu
export LC_ALL=C

# Where Bochs itself looks, and GRUB's files for a BIOS.
SHARE=${BXSHARE:-/usr/share/bochs}
GRUB=${GRUB:-/usr/lib/grub/i386-pc}
# One emulated second is as many instructions.  Timers are cheap when it is large, and what
# sleeps is, when it is small.
IPS=20000000

refuse()
{
	echo "bochs.sh: $*" >&2
	exit 2
}

cpu='' smp=1 memory=512 kernel='' initrd='' append=''
while [ $# -gt 0 ]; do
	case $1 in
	--version)
		program=$(command -v bochs-bin) || refuse 'there is no bochs-bin: apt-get install bochs'
		echo "Bochs, sha256 $(sha256sum <"$program" | cut -d' ' -f1)"
		exit ;;
	-nographic|-no-reboot|-nodefaults)
		shift
		continue ;;
	-machine|-accel|-serial|-cpu|-smp|-m|-kernel|-initrd|-append)
		[ $# -gt 1 ] || refuse "$1 needs a value" ;;
	*)	refuse "unknown option $1: see the first lines of this script" ;;
	esac
	case $1$2 in
	-machinepc|-acceltcg,thread=single|-serialmon:stdio) ;;
	-machine*|-accel*|-serial*) refuse "it has no $1 $2: see the first lines of this script" ;;
	esac
	case $1 in
	-cpu)	cpu=$2 ;;
	-smp)	smp=$2 ;;
	-m)	memory=$2 ;;
	-kernel) kernel=$2 ;;
	-initrd) initrd=$2 ;;
	-append) append=$2 ;;
	esac
	shift 2
done
case $memory in
*G)	memory=$((${memory%G} * 1024)) ;;
*M)	memory=${memory%M} ;;
esac
for file in "$kernel" "$initrd"; do
	[ -f "$file" ] || refuse "there is no file '$file': give -kernel and -initrd"
done
for file in "$SHARE/BIOS-bochs-latest:bochsbios" "$SHARE/VGABIOS-lgpl-latest:vgabios" "$GRUB/cdboot.img:grub-pc-bin"; do
	[ -e "${file%:*}" ] || refuse "there is no ${file%:*}: apt-get install ${file#*:}"
done

work=$(mktemp -d)
bochs=
over()
{
	[ -z "$bochs" ] || kill -9 "$bochs" 2>/dev/null || :
	rm -rf "$work"
}
trap over EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

mkdir -p "$work/cd/boot/grub"
cp "$kernel" "$work/cd/boot/kernel"
cp "$initrd" "$work/cd/boot/initrd"
# Bochs and Linux have another size of the XSAVE area.
cat >"$work/cd/boot/grub/grub.cfg" <<END
linux /boot/kernel noxsave $append
initrd /boot/initrd
boot
END
grub-mkrescue -d "$GRUB" -o "$work/cd.iso" "$work/cd" >"$work/grub.log" 2>&1 ||
	{ cat "$work/grub.log" >&2; refuse 'grub-mkrescue makes no CD image, see above: apt-get install xorriso mtools grub-common'; }

cat >"$work/bochsrc" <<END
cpu: model=$cpu, count=1:$smp:1, ips=$IPS
memory: guest=$memory, host=$memory
romimage: file=$SHARE/BIOS-bochs-latest
vgaromimage: file=$SHARE/VGABIOS-lgpl-latest
boot: cdrom
ata0-master: type=cdrom, path=$work/cd.iso, status=inserted
com1: enabled=1, mode=file, dev=$work/serial
clock: sync=none, time0=local
display_library: term
log: /dev/null
error: action=ignore
info: action=ignore
END
# Debian's Bochs has a debugger, which waits for a command.
echo c >"$work/rc"

# Its screen is a terminal of its own, and it waits until that is read.
mkfifo "$work/serial" "$work/said"
while IFS= read -r line; do
	echo "$line" >>"$work/bochs.log"
	case $line in
	*'connected to screen "'*)
		line=${line#*screen \"}
		cat "${line%%\"*}" >/dev/null 2>&1 & ;;
	esac
done <"$work/said" &
bochs-bin -q -f "$work/bochsrc" -rc "$work/rc" >"$work/said" 2>&1 </dev/null &
bochs=$!
# Until the kernel starts for the second time, i.e. its first line is there twice.  A signal
# does not wait for that.
sed -u -n "/Linux version /{ w $work/started
x; s/^/x/; /xx/q; x; }
p" "$work/serial" &
wait $!
[ -s "$work/started" ] || {
	tail -n 5 "$work/bochs.log" >&2
	refuse "the kernel has not started, and that is the last of Bochs: see above"
}
