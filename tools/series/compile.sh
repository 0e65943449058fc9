# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# Compile the series for the warnings of the compilers: in $OBJ, from $TREE, by the
# compiler that COMPILER names.

# compiler ARCH: the folder, the configuration, the tools, and their names for errors.
# shellcheck disable=SC2034 # series-check.sh uses them
compiler()
{
	arch_env "$1"
	OBJ=$CACHE/obj/check-${TREE##*/}-$1
	CONFIG=$(config_files "$BASE" "$1")
	case $COMPILER in
	gcc)
		TOOLS=$("${CROSS}gcc" --version | head -n 1 && "$CACHE/sparse/sparse" --version)
		THEY='gcc and sparse say' ;;
	clang)
		OBJ=$OBJ-clang
		# It looks at the locks of the files that opt in, in kernels that know this.
		! grep -qw WARN_CONTEXT_ANALYSIS "$TREE/lib/Kconfig.debug" || {
			echo CONFIG_WARN_CONTEXT_ANALYSIS=y >"$OBJ.context"
			CONFIG="$CONFIG $OBJ.context"
		}
		TOOLS=$("$CACHE/clang/clang" --version | head -n 1)
		THEY='clang says' ;;
	esac
}

# The same configuration as the lab's kernels.
configure()
{
	cat $CONFIG >"$OBJ.config"
	kmake "$KARCH" "$TREE" "$OBJ" KCONFIG_ALLCONFIG="$OBJ.config" allnoconfig &&
	check_config
}

# sparse looks at the compiled files, and has the same warnings with each compiler.
compile()
{
	case $COMPILER in
	gcc) set -- C=1 CHECK="$CACHE/sparse/sparse" "$@" ;;
	esac
	kmake "$KARCH" "$TREE" "$OBJ" W=1 "$@"
}

# A warning without its line numbers, so that it is the same after an edit, and
# without the folder that the tree is in: of compilers and sparse, and of
# kernel-doc.  The vDSO is made before anything else, on the way to the first commit
# that is compiled and not to the second one: warnings of it are no difference.
warnings()
{
	sed -n -e "s#$TREE/##g" -e '/\/vdso\//d' \
	       -e 's/:[0-9]*:[0-9]*: \(warning\|error\): /: /p' \
	       -e 's/^Warning: \([^ ]*\):[0-9]* /\1: /p' "$1" | sort -u
}
