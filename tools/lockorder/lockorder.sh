#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# lockorder.sh: is the order of locks that Documentation/virt/kvm/locking.rst of
# the patched tree describes the one that lockdep has seen in the lab?
#
#   BASE='v7.3 v7.2'    which series, one after the other
#   HOST='amd arm'      which hosts, or by ARCH
#   RST=path            another locking.rst, e.g. one that is being written
#   FROM=folder         lockdep_stats, lockdep and lockdep_chains of another
#                       host, as /proc has them
#
# It reads the last results of make lab and, if there are any, of make lab-upstream,
# and leaves the report as lockorder-HOST.txt and its graph as lockorder-HOST.svg in
# the lab's folder there.

. "$(dirname "$0")/../lib.sh"

export START KERNEL="${KERNEL:-}"
BASE=${BASE:-$(default_base)}
RST=${RST:-}
FROM=${FROM:-}
TOOL=$TOP/tools/lockorder
DOCUMENT=Documentation/virt/kvm/locking.rst

each_base $BASE
check_base "$BASE"
pick_hosts
RESULTS=${RESULTS:-$(last_results "$BASE")}
UPSTREAM=$(last_results "$BASE-upstream")
case $FROM,$HOST in
?*,*\ *) die "FROM=$FROM is one host, and HOST='$HOST' is more: say which it is, e.g. HOST=${HOST%% *}" ;;
esac
check_rst

get_tree "$BASE"
TMP=$(mktemp -d)
trap 'rm -rf "$TMP"' EXIT
trap 'exit 130' INT TERM

# trusted FOLDER: lockdep's records there, if they can be trusted; else the reason.
trusted()
{
	for file in lockdep_stats lockdep lockdep_chains; do
		[ -s "$1/$file" ] || {
			echo "there is no $file in $1, so that kernel has no lockdep (CONFIG_PROVE_LOCKING), or the results are older than make lockorder"
			return 1
		}
		[ "$file" = lockdep_stats ] || continue
		case $(sed -n 's/^ *debug_locks: *//p' "$1/$file") in
		1) ;;
		0) echo "lockdep was turned off by an earlier report of that kernel (debug_locks is 0 in $1/$file), so its graph has holes"; return 1 ;;
		*) echo "$1/$file does not say debug_locks, so it is not from /proc/lockdep_stats"; return 1 ;;
		esac
	done
	awk '/^\[/ { held++ } /^irq_context: / { chains++ } END { exit !(held && chains) }' "$1/lockdep_chains" || {
		echo "$1/lockdep_chains has no chain of locks in it, so it is not from /proc/lockdep_chains"
		return 1
	}
	grep -qE ': &kvm->lock(#[0-9]+)?$' "$1/lockdep" || {
		echo "lockdep knows no &kvm->lock in $1/lockdep, so no VM was made there, or KVM's locks are initialized under other names"
		return 1
	}
	[ -n "$FROM" ] || [ "$(cat "$1/kernel" 2>/dev/null)" = "$(basename "$(readlink -f "$CACHE/out/$BASE-$arch-all")")" ] || {
		echo "$1 is from another kernel than the one that the lab has built last"
		return 1
	}
}

# classes TAG PATH...: of the locks that the sources of this tag define.  A lock has the
# name of its initialization in lockdep.
classes()
{
	tag=$1
	shift
	git -C "$TREE" grep -hoE '\<(((raw_)?spin_lock|rwlock|mutex)_init|init_(rwsem|srcu_struct))\([^,]*\)?[,;)]|\<DEFINE_[A-Z_]*(MUTEX|LOCK|SRCU)\([a-z0-9_]+\)' \
		"refs/tags/$tag" -- "$@" ':!arch/*/kvm/hyp/*' |
	sed 's/^[A-Za-z_]*(\(.*[^);,]\)[);,]*$/\1/' | grep -E '[_>.]' | sort -u
}

# one_host: the report on one host; the exit status is report.awk's.
one_host()
{
	set -- "${FROM:-$RESULTS/$host-all}"
	[ -n "$FROM" ] || [ -d "$1" ] ||
		die "there is no $1: run 'make lab BASE=$BASE HOST=$host'"
	why=$(trusted "$1") || die "$why: run 'make lab BASE=$BASE HOST=$host'"
	if [ -z "$FROM" ] && [ -d "$UPSTREAM/$host-all" ]; then
		if why=$(trusted "$UPSTREAM/$host-all"); then
			set -- "$@" "$UPSTREAM/$host-all"
		else
			step "left out: $why"
		fi
	fi
	arch_env "$arch"
	classes series virt/kvm "arch/$KARCH/kvm" >"$TMP/classes"
	out=$RESULTS/lockorder-$host
	for folder; do
		shift
		set -- "$@" "$folder/lockdep" "$folder/lockdep_chains"
	done
	mkdir -p "$RESULTS"
	status=0
	awk -f "$TOOL/report.awk" -v arch="$arch" -v host="$host" -v dot="$TMP/dot" -v title="$TITLE, $host" \
		"$TOOL/locks" "$TMP/classes" "$TMP/rules" "$@" >"$out.txt.tmp" || status=$?
	[ "$status" -le 1 ] || die "report.awk failed on $host: see above"
	dot -Tsvg -o "$out.svg.tmp" "$TMP/dot" || die "dot cannot draw the graph of $host: see above"
	mv "$out.svg.tmp" "$out.svg"
	mv "$out.txt.tmp" "$out.txt"
	cat "$out.txt"
	sed -n 's/^  never seen *\(.*\) (line [0-9]*)$/\1/p' "$out.txt" >>"$TMP/unseen"
	sed -n 's/^  \(seen\|in steps\|kept\) *\(.*\) (line [0-9]*)$/\2/p' "$out.txt" >>"$TMP/seen"
	step "the graph: $out.svg"
	return "$status"
}

SHOWN=${RST:-$DOCUMENT of the series}
TITLE="linux $(cat "$TREE.version") with patches/$BASE${RST:+, and $RST}"
[ -n "$RST" ] || {
	RST=$TMP/locking.rst
	git -C "$TREE" show "refs/tags/series:$DOCUMENT" >"$RST" ||
		die "linux $(cat "$TREE.version") has no $DOCUMENT: name such a file with RST=path"
}
classes series virt/kvm 'arch/*/kvm/*' >"$TMP/classes"
awk -f "$TOOL/rules.awk" "$TOOL/locks" "$TMP/classes" "$RST" >"$TMP/rules"
awk -F'\t' -v rst="$SHOWN" '
	$1 == "unknown" { print rst " (line " $3 ") orders " $4 ", and that is no lock of this kernel"; exit }
' "$TMP/rules" >"$TMP/unknown"
[ ! -s "$TMP/unknown" ] ||
	die "$(cat "$TMP/unknown"): it is a locking.rst of another version, or tools/lockorder/locks needs a line for it"
grep -q '^order' "$TMP/rules" ||
	die "$SHOWN has no sentence under \"Acquisition Orders\" that the grammar of Documentation/virt/kvm/lock-order.rst reads: give a locking.rst of linux $(cat "$TREE.version")"

# A host sees a lock only where a test takes it, so those that the series adds are looked
# for without one.
classes base virt/kvm 'arch/*/kvm/*' | grep -vxF -f - "$TMP/classes" |
	awk -F'\t' 'NR == FNR { name[$1] = $3; next } { print $0 in name ? name[$0] : substr($0, /^&/ + 1) }' "$TOOL/locks" - >"$TMP/added"
cut -f4,5 "$TMP/rules" | tr '\t' '\n' | grep -vxF -f - "$TMP/added" >"$TMP/unordered" || :
[ ! -s "$TMP/unordered" ] ||
	die "the series adds $(paste -sd, "$TMP/unordered" | sed 's/,/, /g'), and $SHOWN has no order of it: add its line to the document, in the patch that adds the lock"

failed=
for host in $HOST; do
	arch=$(host_get "$host" arch)
	one_host || failed="$failed $host"
done
printf '\nrules that none of these hosts has seen\n'
sort -u "$TMP/unseen" | grep -vxF -f "$TMP/seen" | sed 's/^/  /' | grep . || echo '  none'
[ -z "$failed" ] ||
	die "the order of locks is not as $DOCUMENT says on:$failed; see the report above, and correct the document or the code"
