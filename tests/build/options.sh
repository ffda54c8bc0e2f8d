# Options and completions: part of tests/build/run.sh, which sets bin, tmp, PROGRAMS.
# What a program parses, its --help, its man page and the three shells' completions
# must name the same options.

# commands_of PROGRAM: its subcommands, a line each; none for most
commands_of() {
	"$bin/$1" --list-options | sed -n '/^-/!s/	.*//p'
}

# every_command: "PROGRAM" or "PROGRAM COMMAND", a line each
every_command() {
	for program in $PROGRAMS; do
		echo "$program"
		commands_of "$program" | sed "s/^/$program /"
	done
}

# listed PROGRAM [COMMAND]: "--name" and "-letter", a line each, sorted
listed() {
	"$bin/$1" ${2+"$2"} --list-options | awk -F '\t' '/^-/ { print $1; if ($2 != "") print $2 }' | sort
}

case_options_are_listed() {
	every_command >"$tmp/commands"
	[ -s "$tmp/commands" ] || return 1
	while read -r command; do
		# shellcheck disable=SC2086
		listed $command >"$tmp/listed"
		for option in --help --version --quiet --verbose -h -V -q -v; do
			grep -q -x -e "$option" "$tmp/listed" || {
				echo "$command does not list $option"
				return 1
			}
		done
		if [ -n "$(uniq -d "$tmp/listed")" ]; then
			echo "$command lists twice: $(uniq -d "$tmp/listed")"
			return 1
		fi
	done <"$tmp/commands"
}

case_help_has_the_listed_options() {
	every_command >"$tmp/commands"
	while read -r command; do
		# shellcheck disable=SC2086
		listed $command >"$tmp/listed"
		# shellcheck disable=SC2086
		(cd "$bin" && ./$command --help) >"$tmp/help" || return
		sed -n -e 's/^  \(-.\), \(--[a-z0-9-]*\).*/\1\n\2/p' -e 's/^      \(--[a-z0-9-]*\).*/\1/p' "$tmp/help" |
			sort >"$tmp/found"
		same "$tmp/listed" "$tmp/found" || {
			echo "(- $command --list-options, + --help)"
			return 1
		}
	done <"$tmp/commands"
}

# Items of the page's lists: ".It Fl o , Fl -output Ar FILE".
case_man_pages_have_the_listed_options() {
	for program in $PROGRAMS; do
		{
			listed "$program"
			for command in $(commands_of "$program"); do listed "$program" "$command"; done
		} | sort -u >"$tmp/listed"
		sed -n 's/^\.It //p' "man/$program.1" | grep '^Fl ' | sed 's/Fl Fl /Fl -/g' | tr ' ' '\n' |
			awk 'was == "Fl" { print "-" $0 } { was = $0 }' | sort -u >"$tmp/found"
		same "$tmp/listed" "$tmp/found" || {
			echo "(- $program --list-options, + man page)"
			return 1
		}
	done
}

# --help and the page agree whether a program has gates, and so may end with status 1.
case_exit_statuses_are_documented() {
	for program in $PROGRAMS; do
		help=no page=no
		"$bin/$program" --help | grep -q '^Exit status: .* 1 a gate failed' && help=yes
		sed -n '/^\.Sh EXIT STATUS/,/^\.Sh EXAMPLES/p' "man/$program.1" | grep -q -E '(^| )1( |$)' && page=yes
		[ "$help" = "$page" ] || {
			echo "$program: status 1 in --help: $help, in the man page: $page"
			return 1
		}
	done
}

case_unknown_option_is_one_error() {
	for program in $PROGRAMS; do
		status=0
		"$bin/$program" --no-such-option-here >"$tmp/out" 2>"$tmp/err" </dev/null || status=$?
		[ "$status" = 2 ] && [ ! -s "$tmp/out" ] && grep -q "^$program: .*no-such-option-here" "$tmp/err" || {
			echo "$program: status $status"
			cat "$tmp/out" "$tmp/err"
			return 1
		}
	done
}

# first_command PROGRAM: the words to complete options of
first_command() {
	every_command | grep "^$1\( \|\$\)" | tail -n 1
}

# expected_options COMMAND...: long options that begin with --m, --v or --q, enough to tell completion from luck
expected_options() {
	listed "$@" | grep -e '^--[mvq]'
}

case_completion_bash() {
	has bash || skip "no bash" || return
	PATH=$bin:$PATH
	for program in $PROGRAMS; do
		command=$(first_command "$program")
		# shellcheck disable=SC2086
		expected_options $command >"$tmp/expected"
		for prefix in --m --v --q; do
			bash --norc -c 'source completions/frcnn.bash
				complete -p "$1" >/dev/null || exit
				COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
				_frcnn "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
				[ ${#COMPREPLY[@]} = 0 ] || printf "%s\n" "${COMPREPLY[@]}"' bash $command "$prefix" || return
		done | sort >"$tmp/found"
		same "$tmp/expected" "$tmp/found" || return
	done
	# Words of a choice, and files where a file is asked for.
	bash --norc -c 'source completions/frcnn.bash
		COMP_WORDS=(frcnn-detect --format c) COMP_CWORD=2; _frcnn frcnn-detect c --format; echo "${COMPREPLY[*]}"
		COMP_WORDS=(frcnn-detect --format = j) COMP_CWORD=3; _frcnn frcnn-detect j =; echo "${COMPREPLY[*]}"
		COMP_WORDS=(frcnn-detect --model Makef) COMP_CWORD=2; _frcnn frcnn-detect Makef --model; echo "${COMPREPLY[*]}"' \
		>"$tmp/found" || return
	printf 'coco csv\njsonl\nMakefile\n' >"$tmp/expected"
	same "$tmp/expected" "$tmp/found"
}

# zsh completes only at a terminal: it gets a pseudo-terminal and the keys typed.
case_completion_zsh() {
	has zsh || skip "no zsh" || return
	PATH=$bin:$PATH
	cat >"$tmp/driver.zsh" <<'Z'
zmodload zsh/zpty
fpath=($PWD/completions $fpath)
typeset -x FPATH
ask() { # ask KEYS PATTERN: types, and waits until the pattern is on the screen
	local screen
	zpty inner 'exec env TERM=dumb COLUMNS=200 zsh -f -i' || return
	zpty -w inner 'PS1=; unsetopt zle_bracketed_paste 2>/dev/null; autoload -Uz compinit; compinit -u -D; bindkey "^I" complete-word; setopt no_list_beep; print rea''dy'
	zpty -r -m inner screen '*ready*' || return
	zpty -n -w inner "$1"
	zpty -r -m inner screen "$2" || return
	zpty -d inner
}
for pair in "$@"; do
	ask "${pair%%=>*}"$'\t' "*${pair##*=>}*" || { print -r -- "not completed: $pair"; exit 1; }
done
Z
	timeout 60 zsh -f "$tmp/driver.zsh" 'frcnn-detect --rpn-pr=>frcnn-detect --rpn-pre' \
		'frcnn-detect --format cs=>--format csv' 'frcnn-detect --model Makef=>--model Makefile' 'frcnn-draw --verb=>--verbose' \
		'frcnn-model inf=>frcnn-model info' 'frcnn-model info --gra=>frcnn-model info --graph' ||
		{ echo "not completed within 60 s, or wrongly"; return 1; }
}

case_completion_fish() {
	has fish || skip "no fish" || return
	PATH=$bin:$PATH
	HOME=$tmp
	XDG_CONFIG_HOME=$tmp XDG_DATA_HOME=$tmp XDG_CACHE_HOME=$tmp
	export HOME XDG_CONFIG_HOME XDG_DATA_HOME XDG_CACHE_HOME
	for program in $PROGRAMS; do
		command=$(first_command "$program")
		# shellcheck disable=SC2086
		expected_options $command >"$tmp/expected"
		for prefix in --m --v --q; do
			fish --no-config -c "source completions/frcnn.fish; complete -C '$command $prefix'" 2>>"$tmp/err" || return
		done | sed 's/	.*//' | sort >"$tmp/found"
		same "$tmp/expected" "$tmp/found" || return
	done
	fish --no-config -c "source completions/frcnn.fish; complete -C 'frcnn-detect --format c'
		complete -C 'frcnn-detect --stats='; complete -C 'frcnn-model info --graph=f'" 2>>"$tmp/err" |
		sed 's/	.*//' >"$tmp/found" || return
	head -n 20 "$tmp/err"
	[ ! -s "$tmp/err" ] || return
	printf 'coco\ncsv\n--stats=json\n--graph=fused\n' >"$tmp/expected"
	same "$tmp/expected" "$tmp/found"
}
