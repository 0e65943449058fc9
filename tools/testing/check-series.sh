#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# check-series.sh: the tools of the series, on slugs, twins, selftests and edits, with
# kernel trees and series that are made up here.

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/testing/tap.sh"
. "$TOP/tools/series/series.sh"

no_settings
REAL=$TOP
PROJECT=$WORK/project
SCRATCH=$WORK/scratch
export KVM_LIFECYCLE_CACHE="$WORK/cache" GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
export GIT_AUTHOR_NAME=user GIT_AUTHOR_EMAIL=user@localhost.localdomain
export GIT_COMMITTER_NAME=user GIT_COMMITTER_EMAIL=user@localhost.localdomain
CACHE=$WORK/cache
mkdir -p "$SCRATCH" "$CACHE/src"
EDIT=$WORK/edit

# A command that fails must not change these: the project, and a base that is not one.
state()
{
	(cd "$PROJECT" && find . \( -name .git -o -name results \) -prune -o -type f -exec sha256sum {} + | sort)
	find "$CACHE/edit" -maxdepth 1 2>/dev/null || :
}

# kernel FOLDER VERSION
kernel()
{
	rm -rf "$1"
	mkdir -p "$1/virt/kvm" "$1/$SELFTESTS/lib"
	makefile_of "$2" >"$1/Makefile"
	seq 40 >"$1/virt/kvm/kvm_main.c"
	echo "of $2" >"$1/virt/kvm/other.c"
	echo 'upstream' >"$1/$SELFTESTS/lib/kvm_util.c"
	# Every maintainer and list is that of every patch.
	mkdir "$1/scripts"
	printf '%s\n' 'One <one@kernel.example>' 'list@kernel.example' >"$1/MAINTAINERS"
	printf '%s\n' '#!/bin/sh' 'case "$*" in *--nol*) grep "<" MAINTAINERS ;; *) cat MAINTAINERS ;; esac || :' >"$1/scripts/get_maintainer.pl"
	chmod +x "$1/scripts/get_maintainer.pl"
	printf 'TEST_GEN_PROGS_x86 %s\n' '= $(COMMON)' '+= x86/a_test' '+= x86/z_test' '+= common_test' >"$1/$MAKEFILE"
}

# pinned BASE VERSION: a kernel as it would be in the cache.
pinned()
{
	kernel "$CACHE/src/$1" "$2"
	commit_base "$CACHE/src/$1" >/dev/null
	echo "$2" >"$CACHE/src/$1.version"
	mkdir -p "$PROJECT/patches/$1"
	printf '# SPDX-License-Identifier: GPL-2.0-only\nversion\t%s\nseries\t%s\n' "$2" "${1#v}" >"$PROJECT/patches/$1/base"
	echo 'SPDX-License-Identifier: GPL-2.0-only' >"$PROJECT/patches/$1/0000-cover-letter"
}

# commit FOLDER SLUG SUBJECT SED-COMMAND...: a commit of a series that is edited.
commit()
{
	_folder=$1 _slug=$2 _subject=$3
	shift 3
	for _command; do
		sed -i "$_command" "$_folder/virt/kvm/kvm_main.c"
	done
	git -C "$_folder" add -A
	git -C "$_folder" commit -q --allow-empty -m "$_subject" -m 'A text.' ${_slug:+-m "Slug: $_slug"}
}

edit_of()
{
	rm -rf "$EDIT"
	tool edit
}

tool()
{
	_tool=$1
	shift
	env BASE="$base" TREE="$EDIT" "$@" "$PROJECT/tools/series/series-$_tool.sh"
}

library()
{
	(TOP=$PROJECT && "$@")
}

whole_project()
{
	(TOP=$whole && "$@")
}

# Two bases with two patches each, and a test with a header.
make_up()
{
	mkdir -p "$PROJECT/patches/selftests" "$PROJECT/$SELFTESTS/include"
	cp -r "$REAL/tools" "$PROJECT/"
	any_disk "$PROJECT"
	rm -rf "${PROJECT:?}/$SELFTESTS"
	mkdir -p "$PROJECT/$SELFTESTS"
	echo 'about the module' >"$PROJECT/$SELFTESTS/$NOT_CARRIED"
	for base in v7.9 v7.10; do
		pinned "$base" "${base#v}.5"
		tool edit >/dev/null
		commit "$EDIT" change-3 'KVM: Change line 3' 's/^3$/three/'
		commit "$EDIT" change-15 'KVM: Change line 15' 's/^15$/fifteen/'
		[ "$base" = v7.10 ] || {
			mkdir -p "$EDIT/$SELFTESTS/include" "$EDIT/$SELFTESTS/x86"
			echo 'header' >"$EDIT/$SELFTESTS/include/one.h"
			echo 'test' >"$EDIT/$SELFTESTS/x86/one_test.c"
			sed -i '/z_test/aTEST_GEN_PROGS_x86 += x86/one_test' "$EDIT/$MAKEFILE"
			commit "$EDIT" selftest-one 'KVM: selftests: Test one thing'
		}
		tool export >/dev/null
		rm -rf "$EDIT"
	done
	sed -i 's/^series.*/&\ndefault/' "$PROJECT/patches/v7.9/base"
	library "$PROJECT/tools/series/series-twins.sh" update >/dev/null
	cp "$REAL/patches/needs" "$PROJECT/patches/"
	printf 'change-%s\t%s\ta line\ta comment\n' 3 xen 15 other >"$PROJECT/patches/changes"
	printf 'xen\tkvm/next\t-\ta line\nother\tkvm/next\txen\tanother line\nmine\t-\t-\tnobody wants it\n' >"$PROJECT/patches/topics"
	mkdir "$PROJECT/patches/covers"
	for topic in xen other; do
		printf 'SPDX-License-Identifier: GPL-2.0-only\nSubject: KVM: The topic %s\n\nA text on %s.\n' $topic $topic >"$PROJECT/patches/covers/$topic"
	done
	printf 'one_test\tamd\t-\tpass\n' >"$PROJECT/patches/expect"
}

echo TAP version 13
base=v7.9
accepts 'a series is made by series-edit, commits and series-export' make_up
accepts 'bases are in the order of their versions' test "$(TOP=$PROJECT; bases | paste -sd' ')" = 'v7.9 v7.10'
accepts 'the default base says so itself' test "$(TOP=$PROJECT; KERNEL=''; default_base)" = v7.9
accepts 'numbers come from the order' test "$(cd "$PROJECT/patches/v7.9" && echo 0*.patch)" = '0001-change-3.patch 0002-change-15.patch'
accepts 'the selftests are written once' test "$(cd "$PROJECT/patches/selftests" && echo *)" = 0001-selftest-one
accepts 'with their files' grep -qx 'File: x86/one_test.c' "$PROJECT/patches/selftests/0001-selftest-one"
accepts 'and their lines of Makefile.kvm' grep -qx 'Make: TEST_GEN_PROGS_x86 += x86/one_test' "$PROJECT/patches/selftests/0001-selftest-one"
accepts 'what no patch carries stays' test -f "$PROJECT/$SELFTESTS/$NOT_CARRIED"
git -C "$PROJECT" init -q && git -C "$PROJECT" add -A && git -C "$PROJECT" commit -q -m start
start=$(git -C "$PROJECT" rev-parse HEAD)

# Overrides.
mkdir "$PROJECT/patches/v7.9/7.9.0-rc1"
sed 's/fifteen/FIFTEEN/' "$PROJECT"/patches/v7.9/0002-change-15.patch >"$PROJECT/patches/v7.9/7.9.0-rc1/change-15.patch"
mv "$PROJECT/patches/v7.9/0002-change-15.patch" "$PROJECT/patches/v7.9/0003-change-15.patch"
sed 's/fifteen/x/' "$PROJECT/patches/v7.9/0001-change-3.patch" >"$PROJECT/patches/v7.9/0002-another.patch"
accepts 'a patch for another kernel is found by its slug' test "$(TOP=$PROJECT; series_files v7.9 7.9.0-rc1 | sed "s#$PROJECT/patches/v7.9/##" | paste -sd' ')" = \
	'0001-change-3.patch 0002-another.patch 7.9.0-rc1/change-15.patch'
accepts 'a patch is a slug or its place' test "$(TOP=$PROJECT; patch_number v7.9 PATCH change-15 && patch_number v7.9 PATCH 2)" = '3
2'
refuses 'a slug that there is not' 'unknown PATCH=nothing: choose a slug of a patch in patches/v7.9, e.g. change-3, or a number from 1 to 3$' \
	library patch_number v7.9 PATCH nothing
accepts 'names' library check_names v7.9
mv "$PROJECT/patches/v7.9/7.9.0-rc1/change-15.patch" "$PROJECT/patches/v7.9/7.9.0-rc1/change-16.patch"
refuses 'a patch for another kernel in the place of none' '7.9.0-rc1/change-16.patch is in the place of no patch: ' library check_names v7.9
rm -r "$PROJECT/patches/v7.9/7.9.0-rc1"
cp "$PROJECT/patches/v7.9/0003-change-15.patch" "$PROJECT/patches/v7.9/0004-change-3.patch"
refuses 'two patches of one slug' 'has two patches with the slug change-3: ' library check_names v7.9
mv "$PROJECT/patches/v7.9/0004-change-3.patch" "$PROJECT/patches/v7.9/04-Change.patch"
refuses 'a name that is none' 'patches/v7.9/04-Change.patch: a patch is called NNNN-SLUG.patch' library check_names v7.9
rm "$PROJECT/patches/v7.9/04-Change.patch"
printf 'change-4\tmade up\n' >"$PROJECT/patches/v7.9/dkms"
refuses 'a table that names no patch' 'patches/v7.9/dkms names change-4, and patches/v7.9 has no such patch: ' library check_names v7.9
git -C "$PROJECT" reset -q --hard && git -C "$PROJECT" clean -q -d -f

# Carriers.
accepts 'each file has a carrier' library check_carriers
echo new >"$PROJECT/$SELFTESTS/x86/new_test.c"
refuses 'a selftest that no patch carries' "no patch carries $SELFTESTS/x86/new_test.c: add 'File: x86/new_test.c' to one of patches/selftests" \
	library check_carriers
refuses 'selftests-patches says so as well' 'no patch carries ' env BASE=v7.9 "$PROJECT/tools/series/selftests-patches.sh"
rm "$PROJECT/$SELFTESTS/x86/new_test.c" "$PROJECT/$SELFTESTS/include/one.h"
refuses 'a file that is gone' "there is no $SELFTESTS/include/one.h: take 'File: include/one.h' out" library check_carriers
git -C "$PROJECT" checkout -q .

# The patches of the selftests.
accepts 'selftests-patches' env BASE=v7.10 OUT="$WORK/out" "$PROJECT/tools/series/selftests-patches.sh"
refuses 'selftests-patches: a folder that exists' "OUT=.* exists: " env BASE=v7.10 OUT="$WORK/out" "$PROJECT/tools/series/selftests-patches.sh"
kernel "$WORK/user" 7.10.7
commit_base "$WORK/user" >/dev/null
accepts 'git am of the fixes alone' git -C "$WORK/user" am -q "$PROJECT"/patches/v7.10/0001-change-3.patch "$PROJECT"/patches/v7.10/0002-change-15.patch
accepts 'git am of the selftests by hand' git -C "$WORK/user" am -q "$WORK/out/0001-selftest-one.patch"
accepts 'they are those of the project' cmp "$WORK/user/$SELFTESTS/x86/one_test.c" "$PROJECT/$SELFTESTS/x86/one_test.c"
accepts 'the line is where it belongs' test "$(sed -n 4p "$WORK/user/$MAKEFILE")" = 'TEST_GEN_PROGS_x86 += x86/one_test'
accepts 'am: on a tree that has all' env BASE=v7.10 TREE="$WORK/user" "$PROJECT/tools/series/am.sh"
said 'am: the selftests as well' '^there already: selftest-one$'
said 'am: nothing is left' '^applied: 0 of 3 patches$'
git -C "$WORK/user" reset -q --hard base
accepts 'am: fixes and selftests' env BASE=v7.10 TREE="$WORK/user" "$PROJECT/tools/series/am.sh"
said 'am: all of them' '^applied: 3 of 3 patches$'
echo changed >"$WORK/user/$SELFTESTS/x86/one_test.c"
git -C "$WORK/user" commit -q -a -m 'changed'
accepts 'am: a selftest that went on' env BASE=v7.10 TREE="$WORK/user" "$PROJECT/tools/series/am.sh"
said 'am: is left alone' '^there already, and changed since: selftest-one$'
git -C "$WORK/user" reset -q --hard base
mkdir "$WORK/user/$SELFTESTS/x86" && echo mine >"$WORK/user/$SELFTESTS/x86/one_test.c"
git -C "$WORK/user" add -A && git -C "$WORK/user" commit -q -m mine
refuses "am: a selftest of the user's is in the way" 'selftest-one does not apply to 7.10.7 .*x86/one_test.c \(there is such a file already\); nothing was changed' \
	env BASE=v7.10 TREE="$WORK/user" "$PROJECT/tools/series/am.sh"

# Twins.
twins=$PROJECT/tools/series/series-twins.sh
accepts 'twins that are equal' "$twins" check
sed -i 's/^-3$/-3 /' "$PROJECT"/patches/v7.10/0001-*.patch
refuses 'twins whose hunks differ' '^series-twins.sh: change-3 \(v7.9..v7.10\) differ in a way that nobody has looked at' "$twins" check
said 'twins: how' '^\+\+-3 $'
git -C "$PROJECT" checkout -q .
sed -i 's/^A text/Another text/' "$PROJECT"/patches/v7.10/0002-*.patch
refuses 'twins whose messages differ' '^series-twins.sh: change-15 \(v7.9..v7.10\) differ' "$twins" check
accepts 'a difference is written down' "$twins" update
accepts 'and can be read' grep -qx -e '+Another text.' "$PROJECT/patches/twins/v7.9..v7.10"
accepts 'twins that differ as it is written down' "$twins" check
git -C "$PROJECT" checkout -q .
refuses 'a record of a difference that is no longer there' '^series-twins.sh: change-15 \(v7.9..v7.10\) differ' "$twins" check
git -C "$PROJECT" clean -q -d -f
sed -i 's/^@@ -[0-9,]* +[0-9,]* @@/@@ -90,7 +90,7 @@/; s/^Date: .*/Date: Thu, 1 Jan 2026 00:00:00 +0000/; s/^index .*/index 1..2/; s/^Subject: \[PATCH\]/Subject: [PATCH 3\/9]/' \
	"$PROJECT"/patches/v7.10/0001-*.patch
accepts 'places, dates, hashes and numbers are no difference' "$twins" check
git -C "$PROJECT" checkout -q .

# There and back.
for base in v7.9 v7.10; do
	accepts "series-edit $base" edit_of
	accepts "series-export $base" tool export
	accepts "$base: there and back is the identity" test -z "$(git -C "$PROJECT" status --porcelain)"
	accepts "$base: once more" tool export
	accepts "$base: still" test -z "$(git -C "$PROJECT" status --porcelain)"
done
refuses 'series-edit: a folder that exists' 'exists: write its series back \(make series-export BASE=v7.10\)' tool edit
base=v7.9
refuses 'series-export: the tree of another base' 'is not linux 7.9.5, which patches/v7.9/base pins: ' tool export
refuses 'series-export: a tree that series-edit has not made' 'was not made by make series-edit: ' tool export TREE="$WORK/user"
edit_of >/dev/null
commit "$EDIT" '' 'KVM: Change line 9' 's/^9$/nine/'
refuses 'series-export: a commit without a slug' "commit .*KVM: Change line 9.* has no slug: .*'Slug: some-name'" tool export
git -C "$EDIT" commit -q --amend -m 'KVM: Change line 9' -m 'Slug: Change_9'
refuses 'series-export: a slug that is none' "the slug 'Change_9' is not made of" tool export
git -C "$EDIT" commit -q --amend -m 'KVM: Change line 9' -m 'Slug: change-3'
refuses 'series-export: two commits of one slug' 'two commits have the slug change-3' tool export
git -C "$EDIT" commit -q --amend -m 'KVM: Change line 9' -m 'Slug: change-9'
accepts 'series-export: a fix on top of the selftests' tool export
accepts 'is a patch of the base' test -f "$PROJECT/patches/v7.9/0003-change-9.patch"
accepts 'without what came before it' sh -c '! grep -q selftests "$1"' sh "$PROJECT/patches/v7.9/0003-change-9.patch"
accepts 'and without its trailer' sh -c '! grep -q "^Slug:" "$@"' sh "$PROJECT"/patches/v7.9/*.patch
git -C "$PROJECT" reset -q --hard && git -C "$PROJECT" clean -q -d -f
refuses 'series-export: the project has changed meanwhile' 'have changed since make series-edit made ' tool export
edit_of >/dev/null
echo dirty >>"$EDIT/virt/kvm/kvm_main.c"
refuses 'series-export: a change that is not committed' 'has changes that are not committed \(virt/kvm/kvm_main.c\): ' tool export
git -C "$EDIT" checkout -q .
commit "$EDIT" nothing 'KVM: Do nothing'
refuses 'series-export: an empty commit' 'commit .*KVM: Do nothing.* is empty: ' tool export
git -C "$EDIT" reset -q --hard HEAD^
echo both >>"$EDIT/$SELFTESTS/include/one.h"
commit "$EDIT" both 'KVM: Change both' 's/^9$/nine/'
refuses 'series-export: a fix with its test in one commit' 'changes selftests and other files: make two commits of it' tool export
git -C "$EDIT" reset -q --hard HEAD^
echo more >>"$EDIT/$SELFTESTS/include/one.h"
commit "$EDIT" more 'KVM: selftests: Change more'
refuses 'series-export: a selftest that is changed in a commit of its own' 'only changes files that commits before it bring: .*fixup' tool export
git -C "$EDIT" reset -q --hard HEAD^
echo more >>"$EDIT/$SELFTESTS/lib/kvm_util.c"
commit "$EDIT" more 'KVM: selftests: Change upstream'
refuses "series-export: a change of the kernel's own selftests" "lib/kvm_util.c, which is the kernel's own: " tool export
git -C "$EDIT" reset -q --hard HEAD^
git -C "$EDIT" checkout -q --orphan other && git -C "$EDIT" commit -q -m other
refuses 'series-export: not based on the pin' 'is not based on the tag base, i.e. on linux 7.9.5' tool export

# A patch with its test in two bases.
edit_of >/dev/null
commit "$EDIT" change-20 'KVM: Change line 20' 's/^20$/twenty/'
echo 'test of 20' >"$EDIT/$SELFTESTS/x86/two_test.c"
sed -i '/one_test/aTEST_GEN_PROGS_x86 += x86/two_test' "$EDIT/$MAKEFILE"
commit "$EDIT" selftest-two 'KVM: selftests: Test line 20'
tool export >/dev/null
fix=$(git -C "$EDIT" rev-parse HEAD^)
mv "$EDIT" "$WORK/first"
base=v7.10
edit_of >/dev/null
git -C "$EDIT" fetch -q "$WORK/first" HEAD && git -C "$EDIT" cherry-pick "$fix" >/dev/null
accepts 'a patch with its test, in two bases' tool export
refuses 'has a row of patches/changes' 'patches/changes: change-20 of v7.10 is missing: add a row$' "$PROJECT/tools/lab/results.py" slugs v7.10
printf 'change-20\txen\tline 20\n' >>"$PROJECT/patches/changes"
accepts 'has rows of patches/expect' test "$("$PROJECT/tools/lab/results.py" unproved v7.10)" = change-20
printf 'two_test\tamd\t%s\n' '-\tpass' 'twenty\tbug\twanted twenty\tchange-20' | sed 's/\\t/\t/g' >>"$PROJECT/patches/expect"
accepts 'the tables have no mistake' "$PROJECT/tools/lab/results.py" slugs v7.10
accepts 'lab-patches proves it in both' test "$(for b in v7.9 v7.10; do "$PROJECT/tools/lab/results.py" proofs $b; done | sort -u)" = \
	'change-20 amd two_test'
git -C "$PROJECT" status --porcelain -uall | sort >"$WORK/output"
accepts 'touches two patches, a test and its carrier, and the two tables, and nothing else' test "$(cat "$WORK/output")" = \
' M patches/changes
 M patches/expect
?? patches/selftests/0002-selftest-two
?? patches/v7.10/0003-change-20.patch
?? patches/v7.9/0003-change-20.patch
?? tools/testing/selftests/kvm/x86/two_test.c'
accepts 'one line of Makefile.kvm' test "$(grep -c '^Make: ' "$PROJECT/patches/selftests/0002-selftest-two")" -eq 1
accepts 'one row of patches/changes, and its own of patches/expect' \
	test "$(git -C "$PROJECT" diff --numstat | cut -f1,2 | paste -sd' ')" = '1	0 2	0'
accepts 'the twins are equal' "$twins" check
git -C "$PROJECT" reset -q --hard && git -C "$PROJECT" clean -q -d -f

# Topics, and their postings.
base=v7.9
topics=$PROJECT/tools/series/topics.sh posting=$PROJECT/tools/series/posting.sh posting_check=$PROJECT/tools/series/posting-check.sh
on_default()
{
	env BASE=v7.9 "$@"
}

# table FILE SED-COMMAND: another table, committed.
table()
{
	sed -i "$2" "$PROJECT/patches/$1"
	git -C "$PROJECT" commit -q -a -m table
}

# mails: the folder of the last posting.
mails()
{
	find "$PROJECT/results" -maxdepth 1 -name '*-posting-*' | sort | tail -n 1
}

accepts 'topics: each applies alone' on_default "$topics"
said 'topics: and is listed' '^xen +1 +kvm/next'
said 'topics: with those it depends on' '^other +1 +kvm/next +after xen$'
refuses 'topics: a base that is not posted' '^topics.sh: BASE=v7.10 is not posted: ' env BASE=v7.10 "$topics"
for tool in "$topics" "$posting" "$posting_check"; do
	name=$(basename "$tool")
	refuses "$name: an unknown topic" "^$name: unknown TOPIC=none: choose from xen other\$" on_default TOPIC=none "$tool"
	refuses "$name: a topic that is not posted" "^$name: mine is not posted: nobody wants it\$" on_default TOPIC=mine "$tool"
	mv "$PROJECT/patches/covers/xen" "$WORK/cover"
	refuses "$name: no cover letter" 'patches/topics:1: xen has no cover letter: write patches/covers/xen$' on_default TOPIC=xen "$tool"
	mv "$WORK/cover" "$PROJECT/patches/covers/xen"
done
refuses 'posting: no topic' '^posting.sh: which topic\?  Give TOPIC=name, one of xen other$' on_default "$posting"
refuses 'posting-check: no topic' '^posting-check.sh: which topic\?  Give TOPIC=name, one of xen other$' on_default "$posting_check"
sed -i 's/^Subject:/Title:/' "$PROJECT/patches/covers/xen"
refuses 'posting: a cover letter without a subject' "patches/covers/xen has no line 'Subject: ...'" on_default TOPIC=xen "$posting"
git -C "$PROJECT" checkout -q .
for i in $(seq 10 24); do
	cp "$PROJECT/patches/v7.9/0001-change-3.patch" "$PROJECT/patches/v7.9/00$i-more-$i.patch"
	printf 'more-%s\txen\tmore\tmade up\n' "$i" >>"$PROJECT/patches/changes"
done
refuses 'posting: too many patches' '^posting.sh: xen has 16 patches, and 15 are the most: make two topics of it' on_default TOPIC=xen "$posting"
git -C "$PROJECT" checkout -q . && git -C "$PROJECT" clean -q -d -f

# The second patch changes the line of the first one.
edit_of >/dev/null
sed -i 's/^three$/tres/' "$EDIT/virt/kvm/kvm_main.c"
commit "$EDIT" change-3-again 'KVM: Change line 3 again'
tool export >/dev/null
printf 'change-3-again\tother\ta line\ta comment\n' >>"$PROJECT/patches/changes"
git -C "$PROJECT" add -A && git -C "$PROJECT" commit -q -m 'again'
accepts 'topics: one on top of another' on_default "$topics"
table topics 's/^other\tkvm.next\txen/other\tkvm\/next\t-/'
refuses 'topics: one that does not apply alone' '^topics.sh: other does not apply alone: change-3-again does not apply to linux 7.9.5: virt/kvm/kvm_main.c .*name the topic that it needs in patches/topics$' \
	on_default "$topics"
said 'topics: the others do' '^xen +1'
said 'topics: and it is named at the end' '^topics.sh: these do not apply to linux 7.9.5: other$'
refuses 'posting: a topic that does not apply alone' '^posting.sh: other does not apply alone: ' on_default TOPIC=other "$posting"
accepts 'posting: and no mail' test -z "$(mails)"
git -C "$PROJECT" reset -q --hard HEAD^

echo >>"$PROJECT/patches/topics"
refuses 'posting: the project is not committed' '^posting.sh: patches/ has changes that are not committed \(patches/topics\), ' on_default TOPIC=xen "$posting"
git -C "$PROJECT" checkout -q .
mkdir "$WORK/bin"
printf '%s\n' '#!/bin/sh' 'case "$*" in' '*--cover-letter*) kill -TERM $PPID ;;' 'esac' "exec $(command -v git) \"\$@\"" >"$WORK/bin/git"
chmod +x "$WORK/bin/git"
accepts 'posting: it is interrupted' sh -c '! "$@"' sh env BASE=v7.9 TOPIC=other PATH="$WORK/bin:$PATH" "$posting"
accepts 'posting: nothing half-written is left' test -z "$(find "$PROJECT/results" -mindepth 1)"
accepts 'posting: of the pinned kernel' on_default TOPIC=other "$posting"
said 'posting: says what is left' 'left to the sender: the places \*\*\* TOOLS BASE, the author, and the signature$'
cover=$(mails)/0000-cover-letter.patch
accepts 'posting: a topic, and not those that it depends on' test "$(find "$(mails)" -name '*.patch' | wc -l)" -eq 3
accepts 'posting: its cover letter, which git send-email refuses' grep -qxF 'Subject: [PATCH 0/2] *** SUBJECT HERE *** KVM: The topic other' "$cover"
accepts 'posting: it says what comes before' grep -qxF -e '- "KVM: The topic xen" (1)' "$cover"
accepts 'posting: and why there is no test' grep -qxF -e '- change-15: a comment' "$cover"
accepts 'posting: maintainers and lists' test "$(grep -cxE '(To: One <one|Cc: list)@kernel.example>?' "$cover")" -eq 2
accepts 'posting: no commit that nobody knows' sh -c '! grep -q "^base-commit" "$1"' sh "$cover"
accepts 'posting: nobody has signed' sh -c '! grep -q "^Signed-off-by" "$@"' sh "$(mails)"/*.patch

kernel "$WORK/maintainer" 7.12.1
commit_base "$WORK/maintainer" >/dev/null
accepts "posting: for a maintainer's tree" on_default TOPIC=other TREE="$WORK/maintainer" "$posting"
cover=$(mails)/0000-cover-letter.patch
accepts 'posting: its commit' grep -qx "base-commit: $(git -C "$WORK/maintainer" rev-parse HEAD)" "$cover"
accepts 'posting: and the patch that it lacks' test "$(grep -c '^prerequisite-patch-id: ' "$cover")" -eq 1
accepts 'posting: the tree is as it was' test -z "$(git -C "$WORK/maintainer" status --porcelain)$(git -C "$WORK/maintainer" branch | grep -v main)"
git -C "$WORK/maintainer" am -q "$PROJECT/patches/v7.9/0001-change-3.patch"
refuses 'posting: a commit that nobody knows' 'HEAD of TREE=.* is in no branch that was fetched, nor in a tag: .*check out kvm/next$' \
	on_default TOPIC=other TREE="$WORK/maintainer" "$posting"
git -C "$WORK/maintainer" tag taken
refuses 'posting: the maintainer has all of it' '^posting.sh: linux 7.12.1 has all patches of xen already: ' on_default TOPIC=xen TREE="$WORK/maintainer" "$posting"
git -C "$WORK/maintainer" reset -q --hard base
echo 'list@kernel.example' >"$WORK/maintainer/MAINTAINERS"
refuses 'posting: nobody to send it to' 'names nobody as to for other: ' on_default TOPIC=other TREE="$WORK/maintainer" "$posting"
git -C "$WORK/maintainer" checkout -q .

# The second one, after an edit.
cut -f1-4 "$(mails)/posted" | sed 's/$/\t2026-01-01\tone@user.example/' >"$PROJECT/patches/posted"
edit_of >/dev/null
sed -i 's/^fifteen$/FIFTEEN/' "$EDIT/virt/kvm/kvm_main.c"
git -C "$EDIT" commit -q -a --fixup "$(git -C "$EDIT" log --format=%h --grep='line 15$' | head -n 1)"
git -C "$EDIT" -c sequence.editor=: rebase -q -i --autosquash base
tool export >/dev/null
git -C "$PROJECT" add -A && git -C "$PROJECT" commit -q -m 'edit'
accepts 'posting: once more' on_default TOPIC=other TREE="$WORK/maintainer" "$posting"
cover=$(mails)/v2-0000-cover-letter.patch
accepts 'posting: it is the second one' grep -q '^Subject: \[PATCH v2 0/2\] ' "$cover"
accepts 'posting: with a range-diff' grep -q '^[0-9:]* .* ! .* KVM: Change line 15$' "$cover"
accepts 'posting: and a place for the words' grep -q '^\*\*\* CHANGES since v1: ' "$cover"

# What the sender makes of it.
finished()
{
	on_default RESULTS="$(mails)" "$posting_check"
}
refuses 'posting-check: an author who is nobody' "v2-0000-cover-letter.patch is from '.*@localhost.localdomain>', who is nobody" finished
sed -i 's/^From: .* <.*/From: Sender <sender@user.example>/' "$(mails)"/*.patch
refuses 'posting-check: the subject is not finished' 'has \*\*\* in its subject' finished
sed -i 's/\*\*\* SUBJECT HERE \*\*\* //' "$cover"
refuses 'posting-check: a place is left' 'has a place that is left to the sender: \*\*\* CHANGES' finished
sed -i '/^\*\*\* /d' "$cover"
refuses 'posting-check: nobody has signed' 'v2-0001-.*patch is not signed by its author, Sender <sender@user.example>: ' finished
git interpret-trailers --in-place --trailer 'Signed-off-by: Sender <sender@user.example>' "$(mails)"/v2-000[12]-*.patch
accepts 'posting-check: all is done' finished
sed -i '/^To: /d' "$cover"
refuses 'posting-check: a mail to nobody' 'v2-0000-cover-letter.patch has no To: ' finished
refuses 'posting-check: no mails' 'RESULTS=.* has no cover letter: ' on_default RESULTS="$PROJECT" "$posting_check"

# What stable takes.
patch=$PROJECT/patches/v7.9/0001-change-3.patch
sed -i 's/^A text\.$/&\n\nCc: stable@vger.kernel.org/' "$patch"
refuses 'posting-check: stable without Fixes:' '^posting-check.sh: change-3 asks for stable and has no Fixes: ' on_default TOPIC=xen "$posting_check"
seq 100 >>"$patch"
refuses 'posting-check: too long for stable' '^posting-check.sh: change-3 asks for stable and has 1[0-9][0-9] lines with context, 100 are the most: ' \
	on_default TOPIC=xen "$posting_check"
git -C "$PROJECT" reset -q --hard "$start" && git -C "$PROJECT" clean -q -d -f

# Another kernel.
new=$PROJECT/tools/series/base-new.sh
refuses 'base-new: which kernel' '^base-new.sh: which kernel\?  Give VERSION=' env FROM=v7.9 "$new"
refuses 'base-new: an unknown base' '^base-new.sh: unknown BASE=v1.0: ' env FROM=v1.0 VERSION=7.11.1 "$new"
refuses 'base-new: a base that there is' '^base-new.sh: patches/v7.10 exists: ' env FROM=v7.9 VERSION=7.10.9 "$new"
kernel "$WORK/next" 7.11.1
refuses 'base-new: a tree of another version' 'KERNEL=.* is 7.11.1 and VERSION=7.12.1: ' env FROM=v7.9 VERSION=7.12.1 KERNEL="$WORK/next" "$new"
sed -i 's/^30$/thirty/' "$WORK/next/virt/kvm/kvm_main.c"
printf '%s\n' '# a table' 'one\tx86\t-\tpass\t-\t-\t-\tv7.9' 'two\tx86\t-\tpass\t-\t-\t-\tv7.10' 'three\tx86\t-\tpass' |
	sed 's/\\t/\t/g' >"$PROJECT/patches/expect"
rm -rf "$EDIT"
base=v7.11
accepts 'base-new: a kernel that takes all patches' env FROM=v7.9 KERNEL="$WORK/next" TREE="$EDIT" "$new"
said 'base-new: says so' 'patches/v7.11: linux 7.11.1, 3 patches apply, 0 need a hand$'
accepts 'base-new: the series is there' test "$(cd "$PROJECT/patches/v7.11" && echo 0*.patch)" = '0001-change-3.patch 0002-change-15.patch'
accepts 'base-new: the rows of the other base are its own, too' test "$(cut -f8 "$PROJECT/patches/expect" | sort | paste -sd/)" = '/# a table/v7.10/v7.9,v7.11'
accepts 'base-new: the kernel is pinned' grep -qE '^tree[[:space:]]+[0-9a-f]{40}$' "$PROJECT/patches/v7.11/base"
accepts 'base-new: the selftests are those of the others' test -z "$(git -C "$PROJECT" status --porcelain "$SELFTESTS" patches/selftests)"
git -C "$PROJECT" clean -q -d -f
sed -i 's/^15$/something else/; s/^3$/three/' "$WORK/next/virt/kvm/kvm_main.c"
rm -rf "$EDIT"
accepts 'base-new: a kernel that has one, and does not take another' env FROM=v7.9 KERNEL="$WORK/next" TREE="$EDIT" "$new"
said 'base-new: what is there' '^there already: change-3$'
said 'base-new: what needs a hand' '^needs a hand: change-15: virt/kvm/kvm_main.c'
said 'base-new: it did not stop there' 'patches/v7.11: linux 7.11.1, 1 patches apply, 1 need a hand$'
accepts 'base-new: nothing half-done is in the project' test -z "$(find "$PROJECT/patches/v7.11" -name '*.patch')"
refuses 'base-new: nor can it be written' 'commit .*KVM: Change line 15.* is empty: its change is still to be made there' tool export
accepts 'base-new: it is in its place' test "$(git -C "$EDIT" log --format=%s base.. | paste -sd,)" = 'KVM: selftests: Test one thing,KVM: Change line 15'
sed -i 's/^something else$/fifteen/' "$EDIT/virt/kvm/kvm_main.c"
git -C "$EDIT" stash -q && git -C "$EDIT" checkout -q HEAD^ && git -C "$EDIT" stash pop -q && git -C "$EDIT" commit -q -a --amend --no-edit
git -C "$EDIT" cherry-pick v7.11 >/dev/null && git -C "$EDIT" checkout -q -B v7.11
accepts 'base-new: mended, it can' tool export
accepts 'base-new: and has its slug' test -f "$PROJECT/patches/v7.11/0001-change-15.patch"

# The same in the project itself, whose default base gets a kernel and patches that are
# made up here, with the real slugs: all that make check reads of patches/ is right.
whole=$WORK/whole
from=$(bases default)
mkdir "$whole"
(cd "$REAL" && git ls-files -co --exclude-standard -z | tar -c --null --ignore-failed-read -T - 2>/dev/null) | tar -x -C "$whole"
any_disk "$whole"
kernel "$CACHE/src/$from" "$(base_get "$from" version)"
commit_base "$CACHE/src/$from" >/dev/null
base_get "$from" version >"$CACHE/src/$from.version"
git clone -q "$CACHE/src/$from" "$WORK/series" 2>/dev/null
series_files "$from" | slugs >"$WORK/slugs"
while read -r slug; do
	commit "$WORK/series" '' "KVM: Change $slug" "\$a$slug"
done <"$WORK/slugs"
rm "$whole/patches/$from"/[0-9]*.patch
write_patches "$WORK/series" refs/tags/base..HEAD "$whole/patches/$from" <"$WORK/slugs"
printf 'selftests\t%s\n' "$(bases | head -n 1)" >>"$whole/patches/$from/base"
(TOP=$whole && "$whole/tools/series/series-twins.sh" update >/dev/null)
git -C "$whole" init -q && git -C "$whole" add -A -f && git -C "$whole" commit -q -m start
kernel "$WORK/next" 99.1.1
rm -rf "$EDIT"
accepts 'base-new, in the project itself' env FROM="$from" KERNEL="$WORK/next" TREE="$EDIT" "$whole/tools/series/base-new.sh"
said 'base-new: all patches' "patches/v99.1: linux 99.1.1, $(wc -l <"$WORK/slugs") patches apply, 0 need a hand\$"
accepts 'base-new: a folder of its own, and rows of patches/expect that name the other base' \
	test "$(git -C "$whole" status --porcelain | paste -sd' ')" = ' M patches/expect ?? patches/v99.1/'
accepts 'base-new: and nothing but that name is added there' \
	test -z "$(git -C "$whole" diff patches/expect | sed -n 's/^+\([^+]\)/\1/p' | sed 's/,v99\.1//' | grep -vxF -f "$REAL/patches/expect")"
accepts 'a base more: the tables and pages have no mistake' "$whole/tools/lab/results.py" check --pages
accepts 'a base more: the tests of the verdict' "$whole/tools/lab/results_test.py" -q
for base in $(TOP=$whole; bases); do
	accepts "a base more: $base: names and tables" whole_project check_names "$base"
done
accepts 'a base more: each selftest has a carrier' whole_project check_carriers
accepts 'a base more: its twins are equal' "$whole/tools/series/series-twins.sh" check

# Nothing in the project counts bases.
cp "$REAL/Makefile" "$PROJECT/"
accepts 'a base more: make test' make -n -C "$PROJECT" test
said 'a base more: the default one stays' "bases='v7.9'"
said 'a base more: its series is compiled' "bases='v7.9 v7.10 v7.11'"
# shellcheck disable=SC2016 # bash's, not ours
accepts 'a base more: DKMS builds for its kernels' bash -c 'kernelver=7.11.1-x arch=x86_64 kernel_source_dir=/nowhere action=build; dkms() { echo dkms-3.2.2; }
	mkdir -p "$2/tools/dkms" && cp "$1/tools/dkms/common.conf" "$2/tools/dkms/" && cp "$1/debian/kvm-lifecycle-kvm-dkms.dkms" "$2/dkms.conf" && . "$2/dkms.conf" && [[ $kernelver =~ $BUILD_EXCLUSIVE_KERNEL ]]' bash "$REAL" "$PROJECT"

# The rate of a row, with a lab that fails every other time.
cat >"$PROJECT/tools/lab/lab.sh" <<'END'
#!/bin/sh
[ "$TEST" = a_test ] || exit
mkdir -p "$RESULTS/amd-none"
printf 'ok 1 global.one\n%s 2 global.two\n' "$([ $((${RESULTS##*/} % 2)) -eq 0 ] && echo 'not ok' || echo ok)" >"$RESULTS/amd-none/a_test.ktap"
echo 'exit 0' >"$RESULTS/amd-none/a_test.status"
END
count=$PROJECT/tools/lab/lab-count.sh
refuses 'count: no number' '^lab-count.sh: unknown COUNT=many: ' env COUNT=many TEST=a_test "$count"
refuses 'count: no test' '^lab-count.sh: which test\?  Give TEST=' env COUNT=4 TEST= "$count"
refuses 'count: a lab that runs nothing' '^lab-count.sh: run 1 of 4 has run no test: ' env COUNT=4 TEST=b_test "$count"
accepts 'count' env COUNT=4 TEST=a_test "$count"
said 'count: how often a subtest fails' '^ +2 of 4  amd-none a_test.global.two$'
said 'count: and how many do not' '^1 subtests did not fail in 4 runs$'

# The real one.
TOP=$REAL
for base in $(bases); do
	accepts "$base: names and tables" check_names "$base"
done
accepts 'posting.rst has the topics, their trees and their order' test "$(sed -n 's#^``\([a-z-]*\)`` *\([a-z0-9-]*/[a-z]*\) .*#\1 \2#p' "$TOP/Documentation/process/posting.rst")" = \
	"$(results topics "$(bases default)" | awk -F'\t' '$2 != "-" { print $1, $2 }')"
accepts 'one base is the default' test "$(bases default | wc -l)" -eq 1
accepts 'each selftest has a carrier' check_carriers
accepts 'twins differ as it is written down' "$TOP/tools/series/series-twins.sh" check
report
