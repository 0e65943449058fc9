# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# An apt root of our own, for what is not in this machine's suite or not of
# its architecture.  The machine's mirror and keys are used; its sources and
# lists are not changed.

APT_ROOT=$CACHE/apt
APT_LOG=$CACHE/logs/apt.log
SUITES='bookworm trixie trixie-backports sid experimental'

apt_root()
{
	command -v apt-get >/dev/null ||
		die "this comes from Debian's archive and there is no apt-get here: use a Debian machine or container"
	mkdir -p "$APT_ROOT/lists/partial" "$APT_ROOT/cache/archives/partial"

	# The mirror is the one that this machine uses for Debian itself.
	site=$(apt-get indextargets --format '$(SITE) $(ORIGIN) $(CODENAME)' 'Created-By: Packages' 2>/dev/null |
	       awk '$2 == "Debian" && $3 !~ /-/ { print $1; exit }')
	[ -n "$site" ] ||
		die "no Debian mirror in this machine's apt configuration: run 'apt-get update' and the same command again"
	for suite in $SUITES; do
		echo "deb-src $site $suite main"
		echo "deb [arch=amd64,arm64] $site $suite main"
	done >"$APT_ROOT/sources.list.new"
	if ! cmp -s "$APT_ROOT/sources.list.new" "$APT_ROOT/sources.list" ||
	   [ -z "$(find "$APT_ROOT/updated" -mtime -1 2>/dev/null)" ]; then
		step "reading the lists of Debian's archive (log: $APT_LOG)"
		mv "$APT_ROOT/sources.list.new" "$APT_ROOT/sources.list"
		run_logged "$APT_LOG" in_apt_root apt-get update ||
			die "cannot read the lists of Debian's archive: check the network and run the same command again (log: $APT_LOG)"
		touch "$APT_ROOT/updated"
	fi
}

in_apt_root()
{
	_tool=$1
	shift
	"$_tool" -o Dir::Etc::SourceList="$APT_ROOT/sources.list" -o Dir::Etc::SourceParts=- \
		 -o Dir::State::Lists="$APT_ROOT/lists" -o Dir::Cache="$APT_ROOT/cache" \
		 -o APT::Architectures::=amd64 -o APT::Architectures::=arm64 \
		 -o Acquire::Languages=none -o APT::Sandbox::User=root "$@"
}
