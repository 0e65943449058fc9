# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh disable=SC2154
#
# Would the kernel RELEASE with its CONFIG, once it is booted, take modules of ours?  Whatever
# cannot be told counts as no: a host with its own KVM is better than one with none.
#
# The including script defines skip(), and sets $AGAIN, the command that repeats an
# installation.  For a package whose modules are signed already it sets $CERTIFICATE, the
# path of the certificate, which exists if they are.

EFI=$ROOT/sys/firmware/efi
# An empty file: the administrator's word for a host that cannot be looked at.
UNSIGNED=$ROOT/etc/dkms/kvm-lifecycle.unsigned
CERTIFICATE=${CERTIFICATE:-}

# framework NAME: a setting of DKMS.
framework()
{
	cat "$ROOT/etc/dkms/framework.conf" "$ROOT"/etc/dkms/framework.conf.d/*.conf 2>/dev/null |
	sed -n "s/^$1=[\"']\{0,1\}\([^\"']*\)[\"']\{0,1\}\$/\1/p" | tail -n 1 |
	sed "s/\\\$kernelver/$RELEASE/g; s/\\\${kernelver}/$RELEASE/g"
}

# The certificate of the key that DKMS signs with; it makes one when it first signs.
certificate()
{
	[ -z "$CERTIFICATE" ] || {
		echo "$CERTIFICATE"
		return
	}
	_certificate=$(framework mok_certificate)
	echo "${_certificate:-$DKMS/mok.pub}"
}

# efi_variable NAME: its byte, if there is one.
efi_variable()
{
	for _variable in "$EFI/efivars/$1"-*; do
		[ ! -f "$_variable" ] || od -An -v -tu1 -j4 -N1 "$_variable" 2>/dev/null | tr -d ' '
	done
}

# booted_with REGEXP: is there such a word in the kernel's command line, this one or the next?
booted_with()
{
	cat "$ROOT/proc/cmdline" "$ROOT/boot/grub/grub.cfg" "$ROOT/etc/default/grub" "$ROOT"/etc/default/grub.d/*.cfg \
	    "$ROOT/etc/kernel/cmdline" "$ROOT"/boot/loader/entries/*.conf 2>/dev/null |
	grep -v '^[[:space:]]*#' | grep -qE "(^|[[:space:]\"'])($1)([[:space:]\"']|\$)"
}

# $demand: the reason why modules have to be signed.  $blind: the reason why that cannot be told.
look_at_signatures()
{
	demand='' blind=''
	if grep -q '^CONFIG_MODULE_SIG_FORCE=y' "$CONFIG"; then
		demand="$RELEASE loads signed modules alone"
	elif booted_with 'module\.sig[_-]enforce(=[1yY]|=on)?' ||
	     grep -qs '^[Y1]' "$ROOT/sys/module/module/parameters/sig_enforce"; then
		demand='module.sig_enforce is on'
	elif grep -q '^CONFIG_LOCK_DOWN_KERNEL_FORCE_[IC].*=y' "$CONFIG" ||
	     booted_with 'lockdown=(integrity|confidentiality)' ||
	     grep -qs '\[[ic].*\]' "$ROOT/sys/kernel/security/lockdown"; then
		demand='the kernel is locked down'
	elif [ "$(efi_variable SecureBoot)" = 1 ] && [ "$(efi_variable MokSBStateRT)" != 1 ]; then
		demand='Secure Boot is on'
	elif ischroot -t || [ ! -d "$ROOT/sys/module" ]; then
		blind='this is an image or a chroot, whose host may load signed modules alone'
	elif [ -d "$EFI" ] && ! ls "$EFI"/efivars/*-* >/dev/null 2>&1; then
		blind='the EFI variables, which tell about Secure Boot, cannot be read (mount -t efivarfs efivarfs /sys/firmware/efi/efivars)'
	fi
}

# A module that the kernel does not load must not come before one that it does.
check_signatures()
{
	look_at_signatures
	if [ -n "$blind" ]; then
		[ -e "$UNSIGNED" ] ||
			skip "$blind: install on the host itself, or touch $UNSIGNED if it takes modules without a signature, then $AGAIN"
		return
	fi
	[ -n "$demand" ] || return 0
	key=$(certificate)
	whose="DKMS' key"
	[ -z "$CERTIFICATE" ] || whose="the package's key"
	[ -z "$CERTIFICATE" ] || [ -f "$key" ] ||
		skip "$demand and the package is not signed: build it with SIGN_KEY= and SIGN_CERT="
	[ -d "$EFI" ] ||
		skip "$demand, and without EFI the kernel cannot be told of $whose: build a kernel with the series instead"
	mokutil --help >/dev/null 2>&1 || [ $? -ne 127 ] ||
		skip "$demand, and whether the kernel knows $whose cannot be told: apt install mokutil"
	if [ ! -f "$key" ]; then
		# DKMS makes it before it builds.
		[ "$ACTION" = check ] || skip "$demand and DKMS has no key to sign with: apt install openssl"
		return
	fi
	case $(mokutil --test-key "$key" 2>&1) in
	*'already enrolled'*) ;;
	*)	skip "$demand and the kernel does not know $whose: mokutil --import $key, reboot and enrol it, then $AGAIN" ;;
	esac
}

# What DKMS signs with.  $signer is empty where it signs nothing.
find_signer()
{
	signer=$(framework sign_file)
	signer=${signer:-$HEADERS/scripts/sign-file}
	private=$(framework mok_signing_key)
	private=${private:-$DKMS/mok.key}
	hash=$(sed -n 's/^CONFIG_MODULE_SIG_HASH="\(.*\)"/\1/p' "$CONFIG")
	[ -n "$hash" ] && [ -x "$signer" ] && [ -f "$(certificate)" ] || signer=
	case $private in
	pkcs11:*) ;;
	*)	[ -f "$private" ] || signer= ;;
	esac
}

# sign FILE
sign()
{
	find_signer
	[ -z "$signer" ] || "$signer" "$hash" "$private" "$(certificate)" "$1"
}

# may_load FILE: it is signed, or need not be.
may_load()
{
	find_signer
	[ -n "$signer$demand" ] || return 0
	case $1 in
	*.xz)	xz -dc "$1" ;;
	*.zst)	zstd -dcq "$1" ;;
	*.gz)	gzip -dc "$1" ;;
	*)	cat "$1" ;;
	esac | tail -n 1 | grep -aq '~Module signature appended~$'
}
