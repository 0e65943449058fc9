# SPDX-License-Identifier: GPL-2.0-only
#
# twins.awk: the message and the changes of a patch, without the parts of its tree
# alone: dates, hashes, places and the lines around.

!body && /^(From |Date: |SPDX-License-Identifier: )/ { next }
!body && /^Subject: /	{ sub(/\[PATCH[^]]*\] /, ""); subject = $0; next }
subject && /^[ \t]/	{ subject = subject $0; next }
subject			{ print subject; subject = "" }
/^$/			{ body = 1 }
!diff && /^---$/	{ stat = 1 }
/^diff --git /		{ stat = 0; diff = 1 }
stat || /^index /	{ next }
diff && /^@@ /		{ sub(/^@@ [^@]* @@/, "@@"); print; next }
diff && /^( |$)/	{ next }
			{ print }
