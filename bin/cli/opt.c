/* One table an option: parsing, --help, --version and --list-options all come from it. */
#include "cli/cli.h"
#include "cli/private.h"
#include "kernels/kernels.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HELP_COLUMN 30
#define HELP_WIDTH  80

/* ---- lists ------------------------------------------------------------------ */

void frcnn_list_free(struct frcnn_list *list)
{
	if (!list)
		return;
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	memset(list, 0, sizeof *list);
}

int frcnn_list_add(struct frcnn_list *list, const char *text, size_t size, struct frcnn_error *err)
{
	void *items = list->items;
	int status = frcnn_grow(&items, &list->capacity, list->count + 1, sizeof *list->items);

	list->items = items;
	if (status < 0)
		return frcnn_fail_nomem(err);
	list->items[list->count] = frcnn_strndup(text, size);
	if (!list->items[list->count])
		return frcnn_fail_nomem(err);
	list->count++;
	return 0;
}

int frcnn_list_split(const char *text, struct frcnn_list *list, struct frcnn_error *err)
{
	int status;

	for (;;) {
		size_t size = strcspn(text, ",");

		if (size == 0)
			return frcnn_fail(err, FRCNN_EINVAL, "an empty word in the list");
		status = frcnn_list_add(list, text, size, err);
		if (status < 0 || text[size] == '\0')
			return status;
		text += size + 1;
	}
}

int frcnn_shard_parse(const char *text, void *value, struct frcnn_error *err)
{
	struct frcnn_shard *shard = value;
	size_t slash = strcspn(text, "/");
	int64_t index, count;

	if (text[slash] == '\0' || frcnn_parse_int64(text, slash, &index) < 0 ||
	    frcnn_parse_int64(text + slash + 1, strlen(text + slash + 1), &count) < 0)
		return frcnn_fail(err, FRCNN_EINVAL, "\"%s\" is not of the form I/N", text);
	if (count < 1 || index < 1 || index > count)
		return frcnn_fail(err, FRCNN_EINVAL, "%s: I must be between 1 and N", text);
	shard->index = index;
	shard->count = count;
	return 0;
}

/* ---- --help, --version, --list-options --------------------------------------- */

static bool takes_argument(const struct frcnn_opt *opt)
{
	return opt->type != FRCNN_OPT_FLAG && opt->type != FRCNN_OPT_MAYBE;
}

static void print_wrapped(const char *text, int column, int indent)
{
	while (*text) {
		int word = (int)strcspn(text, " ");

		if (column > indent && column + 1 + word > HELP_WIDTH) {
			printf("\n%*s", indent, "");
			column = indent;
		} else if (column > indent) {
			putchar(' ');
			column++;
		}
		printf("%.*s", word, text);
		column += word;
		text += word;
		text += strspn(text, " ");
	}
	putchar('\n');
}

static void print_help(const struct frcnn_program *program)
{
	const char *line = program->synopsis;
	const char *before = "Usage:";

	for (;;) {
		int size = (int)strcspn(line, "\n");

		printf("%-6s %s %.*s\n", before, program->name, size, line);
		before = "";
		if (line[size] == '\0')
			break;
		line += size + 1;
	}
	print_wrapped(program->summary, 0, 0);
	putchar('\n');
	for (const struct frcnn_opt *opt = program->options; opt->type != FRCNN_OPT_END; opt++) {
		int column;

		if (opt->type == FRCNN_OPT_GROUP) {
			printf("%s%s:\n", opt == program->options ? "" : "\n", opt->help);
			continue;
		}
		column = opt->letter ? printf("  -%c, --%s", opt->letter, opt->name) : printf("      --%s", opt->name);
		if (opt->type == FRCNN_OPT_MAYBE)
			column += printf("[=%s]", opt->argument);
		else if (takes_argument(opt))
			column += printf(" %s", opt->argument);
		if (column + 2 > HELP_COLUMN)
			printf("\n%*s", HELP_COLUMN, "");
		else
			printf("%*s", HELP_COLUMN - column, "");
		print_wrapped(opt->help, HELP_COLUMN, HELP_COLUMN);
	}
	printf("\nExit status: 0 done,%s 2 trouble.\n", program->gates ? " 1 a gate failed," : "");
}

static void print_version(const struct frcnn_program *program)
{
	printf("%.*s %s\n", (int)strcspn(program->name, " "), program->name, frcnn_version());
	printf("kernel sets built: %s\n", frcnn_kernels_built());
	printf("kernel sets this machine runs: %s\n", frcnn_cpu_available());
	printf("CUDA: not built\n");
}

static void print_options(const struct frcnn_program *program)
{
	for (const struct frcnn_opt *opt = program->options; opt->type != FRCNN_OPT_END; opt++) {
		if (opt->type == FRCNN_OPT_GROUP)
			continue;
		printf("--%s\t", opt->name);
		if (opt->letter)
			printf("-%c", opt->letter);
		if (opt->type == FRCNN_OPT_MAYBE)
			printf("\t[=%s]", opt->argument);
		else
			printf("\t%s", takes_argument(opt) ? opt->argument : "");
		printf("\t%s\n", opt->help);
	}
}

/* ---- values ---------------------------------------------------------------------- */

static int check_range(const struct frcnn_opt *opt, double value, const char *text, size_t size,
		       struct frcnn_error *err)
{
	char low[32], high[32];

	if ((opt->min == 0 && opt->max == 0) || (value >= opt->min && value <= opt->max))
		return 0;
	if (isfinite(opt->min))
		frcnn_format_double(opt->min, low);
	if (isfinite(opt->max))
		frcnn_format_double(opt->max, high);
	if (isinf(opt->max))
		return frcnn_fail(err, FRCNN_EINVAL, "%.*s is below %s", (int)size, text, low);
	if (isinf(opt->min))
		return frcnn_fail(err, FRCNN_EINVAL, "%.*s is above %s", (int)size, text, high);
	return frcnn_fail(err, FRCNN_EINVAL, "%.*s is outside %s to %s", (int)size, text, low, high);
}

static int parse_integer(const struct frcnn_opt *opt, const char *text, int64_t *out, struct frcnn_error *err)
{
	size_t size = strlen(text);
	int status = frcnn_parse_int64(text, size, out);

	if (status == FRCNN_ELIMIT)
		return frcnn_fail(err, FRCNN_EINVAL, "%s is too large", text);
	if (status < 0)
		return frcnn_fail(err, FRCNN_EINVAL, "\"%s\" is not a whole number", text);
	if (opt->type == FRCNN_OPT_INT && (*out < INT32_MIN || *out > INT32_MAX))
		return frcnn_fail(err, FRCNN_EINVAL, "%s is too large", text);
	return check_range(opt, (double)*out, text, size, err);
}

static int parse_real(const struct frcnn_opt *opt, const char *text, size_t size, double *out, struct frcnn_error *err)
{
	int status = frcnn_parse_double(text, size, out);

	if (status == FRCNN_ELIMIT)
		return frcnn_fail(err, FRCNN_EINVAL, "%.*s is too large", (int)size, text);
	if (status < 0)
		return frcnn_fail(err, FRCNN_EINVAL, "\"%.*s\" is not a number", (int)size, text);
	return check_range(opt, *out, text, size, err);
}

static int parse_reals(const struct frcnn_opt *opt, const char *text, struct frcnn_reals *out, struct frcnn_error *err)
{
	struct frcnn_reals reals = {0};

	for (;;) {
		size_t size = strcspn(text, ",");
		int status;

		if (reals.count == (int)FRCNN_COUNT(reals.values))
			return frcnn_fail(err, FRCNN_EINVAL, "more than %d numbers", reals.count);
		status = parse_real(opt, text, size, &reals.values[reals.count], err);
		if (status < 0)
			return status;
		reals.count++;
		if (text[size] == '\0')
			break;
		text += size + 1;
	}
	*out = reals;
	return 0;
}

/* Which word of "a|b|c" text is, from 0; -1: none. */
static int find_choice(const char *choices, const char *text)
{
	size_t size = strlen(text);

	for (int index = 0;; index++) {
		size_t word = strcspn(choices, "|");

		if (word == size && memcmp(choices, text, size) == 0)
			return index;
		if (choices[word] == '\0')
			return -1;
		choices += word + 1;
	}
}

static int set_value(struct frcnn_opt *opt, const char *text, struct frcnn_error *err)
{
	int64_t integer;
	int choice, status = 0;

	switch (opt->type) {
	case FRCNN_OPT_FLAG:
		if (opt->value)
			*(bool *)opt->value = true;
		break;
	case FRCNN_OPT_TEXT:
		*(const char **)opt->value = text;
		break;
	case FRCNN_OPT_INT:
		status = parse_integer(opt, text, &integer, err);
		if (status == 0)
			*(int *)opt->value = (int)integer;
		break;
	case FRCNN_OPT_INT64:
		status = parse_integer(opt, text, opt->value, err);
		break;
	case FRCNN_OPT_REAL:
		status = parse_real(opt, text, strlen(text), opt->value, err);
		break;
	case FRCNN_OPT_REALS:
		status = parse_reals(opt, text, opt->value, err);
		break;
	case FRCNN_OPT_LIST:
		status = frcnn_list_split(text, opt->value, err);
		break;
	case FRCNN_OPT_CHOICE:
	case FRCNN_OPT_MAYBE:
		choice = text ? find_choice(opt->argument, text) : -1;
		if (text && choice < 0)
			return frcnn_fail(err, FRCNN_EINVAL, "\"%s\" is none of %s", text, opt->argument);
		*(int *)opt->value = opt->type == FRCNN_OPT_CHOICE ? choice : choice + 2;
		break;
	case FRCNN_OPT_CUSTOM:
		status = opt->parse(text, opt->value, err);
		break;
	case FRCNN_OPT_END:
	case FRCNN_OPT_GROUP:
		break;
	}
	if (status == 0)
		opt->text = text ? text : "";
	return status;
}

/* ---- the command line ---------------------------------------------------------------- */

static struct frcnn_opt *find_letter(struct frcnn_opt *options, char letter)
{
	for (; options->type != FRCNN_OPT_END; options++)
		if (options->type != FRCNN_OPT_GROUP && options->letter == letter)
			return options;
	return NULL;
}

/* An exact name, or the only one that begins with it; *ambiguous when several do. */
static struct frcnn_opt *find_name(struct frcnn_opt *options, const char *name, size_t size, bool *ambiguous)
{
	struct frcnn_opt *found = NULL;

	*ambiguous = false;
	for (; options->type != FRCNN_OPT_END; options++) {
		if (options->type == FRCNN_OPT_GROUP || strncmp(options->name, name, size) != 0)
			continue;
		if (options->name[size] == '\0') {
			*ambiguous = false;
			return options;
		}
		*ambiguous = found != NULL;
		found = options;
	}
	return found;
}

/* A closed standard stream would give its number to a file that we open. */
static void hold_standard_streams(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDONLY);
	while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
}

static int end_early(const struct frcnn_program *program, const char *name)
{
	if (strcmp(name, "help") == 0)
		print_help(program);
	else if (strcmp(name, "version") == 0)
		print_version(program);
	else
		return -1;
	return frcnn_close_stdout();
}

int frcnn_opt_parse(const struct frcnn_program *program, int argc, char **argv, int *operands)
{
	struct frcnn_error err;
	int kept = 0, i, end;

	hold_standard_streams();
	signal(SIGXFSZ, SIG_IGN); /* a file beyond its limit is an error of the write, with a line of its own */
	frcnn_diag_program(program->name);
	for (i = 1; i < argc; i++) {
		char *word = argv[i];
		struct frcnn_opt *opt;

		if (strcmp(word, "--") == 0) {
			for (i++; i < argc; i++)
				argv[++kept] = argv[i];
			break;
		}
		if (word[0] != '-' || word[1] == '\0') {
			argv[++kept] = word;
			continue;
		}
		if (word[1] == '-') {
			const char *name = word + 2;
			size_t size = strcspn(name, "=");
			const char *text = name[size] == '=' ? name + size + 1 : NULL;
			bool ambiguous;

			if (strcmp(name, "list-options") == 0) {
				print_options(program);
				return frcnn_close_stdout();
			}
			opt = size > 0 ? find_name(program->options, name, size, &ambiguous) : NULL;
			if (!opt)
				return frcnn_usage("unknown option --%.*s", (int)size, name);
			if (ambiguous)
				return frcnn_usage("--%.*s could be several options", (int)size, name);
			if (opt->type == FRCNN_OPT_FLAG && text)
				return frcnn_usage("--%s takes no value", opt->name);
			if (takes_argument(opt) && !text) {
				if (i + 1 == argc)
					return frcnn_usage("--%s needs a value", opt->name);
				text = argv[++i];
			}
			if (set_value(opt, text, &err) < 0)
				return frcnn_usage("--%s: %s", opt->name, err.message);
			end = end_early(program, opt->name);
			if (end >= 0)
				return end;
			continue;
		}
		for (const char *letter = word + 1; *letter; letter++) {
			const char *text = NULL;

			opt = find_letter(program->options, *letter);
			if (!opt)
				return frcnn_usage("unknown option -%c", *letter);
			if (takes_argument(opt)) {
				if (letter[1]) {
					text = letter + 1;
				} else {
					if (i + 1 == argc)
						return frcnn_usage("-%c needs a value", *letter);
					text = argv[++i];
				}
			}
			if (set_value(opt, text, &err) < 0)
				return frcnn_usage("-%c: %s", *letter, err.message);
			end = end_early(program, opt->name);
			if (end >= 0)
				return end;
			if (text)
				break;
		}
	}
	argv[kept + 1] = NULL;
	*operands = kept;
	return -1;
}

bool frcnn_opt_given(const struct frcnn_program *program, const char *name)
{
	for (const struct frcnn_opt *opt = program->options; opt->type != FRCNN_OPT_END; opt++)
		if (opt->type != FRCNN_OPT_GROUP && strcmp(opt->name, name) == 0)
			return opt->text != NULL;
	return false;
}

void frcnn_opt_describe(const struct frcnn_program *program, struct frcnn_buffer *out)
{
	for (const struct frcnn_opt *opt = program->options; opt->type != FRCNN_OPT_END; opt++) {
		const struct frcnn_reals *reals = opt->value;
		const struct frcnn_list *list = opt->value;
		char number[32];

		if (!opt->result || !opt->text)
			continue;
		frcnn_buffer_printf(out, "%s=", opt->name);
		switch (opt->type) {
		case FRCNN_OPT_INT:
			frcnn_buffer_printf(out, "%d", *(int *)opt->value);
			break;
		case FRCNN_OPT_INT64:
			frcnn_buffer_printf(out, "%lld", (long long)*(int64_t *)opt->value);
			break;
		case FRCNN_OPT_REAL:
			frcnn_buffer_add(out, number, frcnn_format_double(*(double *)opt->value, number));
			break;
		case FRCNN_OPT_REALS:
			for (int i = 0; i < reals->count; i++) {
				frcnn_buffer_puts(out, i ? "," : "");
				frcnn_buffer_add(out, number, frcnn_format_double(reals->values[i], number));
			}
			break;
		case FRCNN_OPT_LIST:
			for (size_t i = 0; i < list->count; i++)
				frcnn_buffer_printf(out, "%s%s", i ? "," : "", list->items[i]);
			break;
		default:
			frcnn_buffer_puts(out, opt->text);
			break;
		}
		frcnn_buffer_putc(out, '\n');
	}
}
