# Prints what nextest says of the tests of transparency as a list of promises.
#
#   awk -f tests/promises.awk tests/it/transparency/deviations.rs NEXTEST_LOG
#
# A test in the table of deviations `differs` when it passes, and the README's words for it follow.
# Exit 1 if one failed, or if there was none.

# The table: names and phrases in turn.
FNR == NR {
  if (/^const DEVIATIONS/) inside = 1
  else if (inside && /^\];/) inside = 0
  else if (inside)
    while (match($0, /"[^"]*"/)) {
      text = substr($0, RSTART + 1, RLENGTH - 2)
      $0 = substr($0, RSTART + RLENGTH)
      if (name == "") name = text
      else { phrase["transparency::deviations::" name] = text; name = "" }
    }
  next
}

$NF ~ /^(transparency|listening)::/ && $1 ~ /^(PASS|FAIL|TIMEOUT|LEAK|SIG.*|ABORT)$/ && !($NF in said) {
  said[$NF] = $1
  order[++count] = $NF
}

# By file, the tests of each in the order of their names.
function sort(   i, j, kept) {
  for (i = 2; i <= count; i++) {
    kept = order[i]
    for (j = i - 1; j > 0 && key(order[j]) > key(kept); j--) order[j + 1] = order[j]
    order[j + 1] = kept
  }
}

function file(test) {
  sub(/::[^:]*$/, "", test)
  gsub(/::/, "/", test)
  return test
}

function key(test) { return file(test) " " test }

END {
  sort()
  for (i = 1; i <= count; i++) {
    test = order[i]
    if (file(test) != last) {
      last = file(test)
      printf "\n%s.rs\n", last
    }
    promise = test
    sub(/.*::/, "", promise)
    gsub(/_/, " ", promise)
    if (said[test] !~ /^(PASS|LEAK)$/) { failed++; printf "  FAIL     %s\n", promise }
    else if (test in phrase) { differs++; printf "  differs  %s\n           README: %s\n", promise, phrase[test] }
    else printf "  pass     %s\n", promise
  }
  printf "\n%d promises: %d pass, %d differ, %d FAIL\n", count, count - differs - failed, differs, failed
  exit !count || failed
}
