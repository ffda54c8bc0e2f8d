# fish completion for the frcnn programs. It knows no option by itself: it asks
# the program (--list-options: name, letter, argument, help, separated by tabs;
# a line that does not begin with "-" is a subcommand). Installed once for each
# program under its name; sourced as frcnn.fish it serves every one in the path.

# __frcnn_options PROGRAM CONDITION COMMAND...: one completion for each option that COMMAND lists
function __frcnn_options
    set -l program $argv[1]
    set -l condition $argv[2]
    for line in (command $argv[3..-1] --list-options 2>/dev/null)
        set -l fields (string split \t -- $line)
        set -l rest
        test -n "$condition"; and set rest -n $condition
        if not string match -q -- '-*' $fields[1]
            complete -c $program -n __fish_use_subcommand -f -a $fields[1] -d "$fields[4]"
            # Only a program has subcommands, a subcommand has none.
            test (count $argv) -eq 3
            and __frcnn_options $program "__fish_seen_subcommand_from $fields[1]" $argv[3] $fields[1]
            continue
        end
        set rest $rest -l (string sub -s 3 -- $fields[1]) -d "$fields[4]"
        test -n "$fields[2]"; and set rest $rest -s (string sub -s 2 -- $fields[2])
        switch "$fields[3]"
            case ''
            case '[=*'
                # Its argument is only ever written with "=": a word of its own.
                set -l typed "string match -q -- '$fields[1]=*' (commandline -ct)"
                test -n "$condition"; and set typed "$condition; and $typed"
                set -l values (string split '|' -- (string sub -s 3 -e -1 -- $fields[3]))
                complete -c $program -f -n $typed -a "$fields[1]="(string join " $fields[1]=" -- $values)
            case '*FILE*' '*JSON*' '*IMAGE*'
                set rest $rest -r -F
            case '*DIR*'
                set rest $rest -x -a '(__fish_complete_directories)'
            case '*|*'
                set rest $rest -x -a (string replace -a '|' ' ' -- $fields[3])
            case '*'
                set rest $rest -x
        end
        complete -c $program $rest
    end
end

set -l program (string replace -r '\.fish$' '' -- (status basename))
set -l programs $program
if test $program = frcnn
    set programs
    for folder in $PATH
        for file in $folder/frcnn-*
            test -x $file; and set programs $programs (basename $file)
        end
    end
end
for program in $programs
    __frcnn_options $program '' $program
end
