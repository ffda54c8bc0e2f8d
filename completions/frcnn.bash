# bash completion for the frcnn programs. It knows no option by itself: it asks
# the program (--list-options: name, letter, argument, help, separated by tabs;
# a line that does not begin with "-" is a subcommand).

_frcnn() {
	local program=${1/#\~/$HOME} current=${COMP_WORDS[COMP_CWORD]} previous='' option='' command='' line name letter argument
	local -a words=() lines=()
	COMPREPLY=()

	((COMP_CWORD > 0)) && previous=${COMP_WORDS[COMP_CWORD - 1]}
	# "--name=value" comes as three words.
	if [[ $current == = ]]; then
		option=$previous current=''
	elif [[ $previous == = ]] && ((COMP_CWORD > 1)); then
		option=${COMP_WORDS[COMP_CWORD - 2]}
	elif [[ $previous == -* ]]; then
		option=$previous
	fi

	mapfile -t lines < <("$program" --list-options 2>/dev/null)
	if ((COMP_CWORD > 1)) && [[ ${COMP_WORDS[1]} != -* ]]; then
		for line in "${lines[@]}"; do
			[[ ${line%%$'\t'*} == "${COMP_WORDS[1]}" ]] && command=${COMP_WORDS[1]}
		done
		[[ -z $command ]] || mapfile -t lines < <("$program" "$command" --list-options 2>/dev/null)
	fi

	for line in "${lines[@]}"; do
		name=${line%%$'\t'*} line=${line#*$'\t'}
		letter=${line%%$'\t'*} line=${line#*$'\t'}
		argument=${line%%$'\t'*}
		if [[ $name != -* ]]; then
			((COMP_CWORD == 1)) && words+=("$name")
			continue
		fi
		words+=("$name")
		[[ -n $option && ($option == "$name" || $option == "$letter") ]] || continue
		case $argument in
		'') ;;
		'[='*)
			# Its argument is only ever written with "=".
			[[ $previous == = || ${COMP_WORDS[COMP_CWORD]} == = ]] || continue
			argument=${argument#'[='}
			mapfile -t COMPREPLY < <(compgen -W "$(tr '|' ' ' <<<"${argument%]}")" -- "$current")
			return
			;;
		*FILE* | *JSON* | *IMAGE*)
			compopt -o filenames 2>/dev/null
			mapfile -t COMPREPLY < <(compgen -f -- "$current")
			return
			;;
		*DIR*)
			compopt -o filenames 2>/dev/null
			mapfile -t COMPREPLY < <(compgen -d -- "$current")
			return
			;;
		*'|'*)
			mapfile -t COMPREPLY < <(compgen -W "${argument//|/ }" -- "$current")
			return
			;;
		*) return ;;
		esac
	done

	if [[ $current == -* || (-n ${words[*]} && ${words[*]} != -* && COMP_CWORD -eq 1) ]]; then
		mapfile -t COMPREPLY < <(compgen -W "${words[*]}" -- "$current")
	else
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
	fi
}

complete -F _frcnn frcnn-anchors frcnn-detect frcnn-draw frcnn-eval frcnn-model frcnn-nms frcnn-quantize
