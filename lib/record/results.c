/*
 * COCO results as columns, fast: the file is cut into blocks that the pool's
 * threads read and parse on their own. A block begins at what looks like an
 * element of the array ("}," then "{"); whether it was one shows when the block
 * before it ends just there. Only the plain form is taken (objects without
 * escapes in their keys, decimal numbers, known images and categories);
 * anything else, and anything wrong, sends the caller to the records reader,
 * which has the messages.
 */
#include "record/record.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <unistd.h>

#define BLOCK   ((size_t)2 << 20)  /* bytes of one task, unless the caller says */
#define BEHIND  256                /* read before a block: what stands before an element */
#define BEYOND  ((size_t)64 << 10) /* read after it: the rest of its last element */
#define NOWHERE UINT64_MAX

/* What one block held. */
struct block {
	uint64_t start, next; /* file offsets of its first element and of the first one beyond it; NOWHERE: none */
	bool closed;          /* the array ended here */
	bool plain;
	int status;
	struct frcnn_result_columns columns;
};

struct job {
	int fd;
	uint64_t size;
	size_t piece; /* bytes of one task */
	const struct frcnn_id_map *images, *categories;
	struct block *blocks;
	char **buffers; /* one a worker */
};

/* ---- one element ------------------------------------------------------------------------ */

struct cursor {
	const char *at, *end;
};

static void skip_space(struct cursor *c)
{
	while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\r' || *c->at == '\t'))
		c->at++;
}

static bool take(struct cursor *c, char wanted)
{
	skip_space(c);
	if (c->at == c->end || *c->at != wanted)
		return false;
	c->at++;
	return true;
}

/* A string of printable ASCII without escapes. */
static bool plain_string(struct cursor *c, struct frcnn_span *out)
{
	if (!take(c, '"'))
		return false;
	out->data = c->at;
	while (c->at < c->end && *c->at >= ' ' && *c->at < 0x7f && *c->at != '"' && *c->at != '\\')
		c->at++;
	out->size = (size_t)(c->at - out->data);
	if (c->at == c->end || *c->at != '"')
		return false;
	c->at++;
	return true;
}

static bool digit(const struct cursor *c)
{
	return c->at < c->end && *c->at >= '0' && *c->at <= '9';
}

/* A number in JSON's grammar. */
static bool plain_number(struct cursor *c, double *out)
{
	const char *start;
	uint64_t mantissa = 0;
	int64_t exponent = 0;
	int digits = 0; /* leading zeros behind the point included: then the slow way is taken a little early */

	skip_space(c);
	start = c->at;
	c->at += c->at < c->end && *c->at == '-';
	if (!digit(c))
		return false;
	if (*c->at == '0') {
		c->at++;
		if (digit(c))
			return false;
	}
	for (; digit(c); c->at++, digits++)
		mantissa = mantissa * 10 + (uint64_t)(*c->at - '0');
	if (c->at < c->end && *c->at == '.') {
		c->at++;
		if (!digit(c))
			return false;
		for (; digit(c); c->at++, digits++, exponent--)
			mantissa = mantissa * 10 + (uint64_t)(*c->at - '0');
	}
	if (c->at < c->end && (*c->at == 'e' || *c->at == 'E')) {
		bool minus;
		int value = 0;

		c->at++;
		minus = c->at < c->end && *c->at == '-';
		if (c->at < c->end && (*c->at == '-' || *c->at == '+'))
			c->at++;
		if (!digit(c))
			return false;
		for (; digit(c); c->at++)
			value = value < 10000 ? value * 10 + (*c->at - '0') : value;
		exponent += minus ? -value : value;
	}
	if (c->at == c->end)
		return false;
	if ((digits > 19 || !frcnn_decimal_to_double(mantissa, exponent, out)) &&
	    frcnn_parse_double(start, (size_t)(c->at - start), out))
		return false;
	*out = *start == '-' ? -fabs(*out) : fabs(*out);
	return fabs(*out) <= FLT_MAX; /* the records reader wants float32 too */
}

/* An id without sign, point or exponent, or with a minus. */
static bool plain_id(struct cursor *c, int64_t *out)
{
	uint64_t value = 0;
	int digits = 0;
	bool negative;

	skip_space(c);
	negative = c->at < c->end && *c->at == '-';
	c->at += negative;
	if (!digit(c) || (*c->at == '0' && c->at + 1 < c->end && c->at[1] >= '0' && c->at[1] <= '9'))
		return false;
	for (; digit(c); c->at++, digits++)
		value = value * 10 + (uint64_t)(*c->at - '0');
	*out = negative ? -(int64_t)value : (int64_t)value;
	return digits <= 18 && c->at < c->end && *c->at != '.' && *c->at != 'e' && *c->at != 'E';
}

/* A value of a key without meaning here. */
static bool pass_over(struct cursor *c)
{
	struct frcnn_json json;
	struct frcnn_span raw;
	bool good;

	skip_space(c);
	if (c->at == c->end || (unsigned char)*c->at >= 0x7f)
		return false; /* no value begins so, but a text that is opened may: with a byte order mark */
	frcnn_json_open(&json, c->at, (size_t)(c->end - c->at), NULL);
	good = frcnn_json_skip(&json, &raw) == 0;
	if (good)
		c->at = raw.data + raw.size;
	frcnn_json_close(&json);
	return good && c->at < c->end;
}

enum { HAS_IMAGE = 1, HAS_CATEGORY = 2, HAS_BBOX = 4, HAS_SCORE = 8 };

struct element {
	int64_t image, category;
	double bbox[4], score;
	unsigned has;
};

static bool plain_value(struct cursor *c, struct frcnn_span key, struct element *e)
{
	unsigned which = 0;
	bool good;

	if (frcnn_span_is(key, "image_id")) {
		which = HAS_IMAGE;
		good = plain_id(c, &e->image);
	} else if (frcnn_span_is(key, "category_id")) {
		which = HAS_CATEGORY;
		good = plain_id(c, &e->category);
	} else if (frcnn_span_is(key, "score")) {
		which = HAS_SCORE;
		good = plain_number(c, &e->score);
	} else if (frcnn_span_is(key, "bbox")) {
		which = HAS_BBOX;
		good = take(c, '[');
		for (int i = 0; i < 4 && good; i++)
			good = (i == 0 || take(c, ',')) && plain_number(c, &e->bbox[i]);
		good = good && take(c, ']') && e->bbox[2] >= 0 && e->bbox[3] >= 0;
	} else {
		/* Names of images and categories would have to be joined. */
		good = !frcnn_span_is(key, "file_name") && !frcnn_span_is(key, "category") && pass_over(c);
	}
	good = good && !(e->has & which);
	e->has |= which;
	return good;
}

static bool plain_element(struct cursor *c, struct element *e)
{
	struct frcnn_span key;

	e->has = 0;
	if (!take(c, '{'))
		return false;
	do {
		if (!plain_string(c, &key) || !take(c, ':') || !plain_value(c, key, e))
			return false;
	} while (take(c, ','));
	return take(c, '}') && e->has == (HAS_IMAGE | HAS_CATEGORY | HAS_BBOX | HAS_SCORE);
}

/* ---- columns ------------------------------------------------------------------------------- */

void frcnn_result_columns_free(struct frcnn_result_columns *columns)
{
	if (!columns)
		return;
	free(columns->image);
	free(columns->category);
	free(columns->bbox);
	free(columns->score);
	memset(columns, 0, sizeof *columns);
}

/* Room for so many in each column. */
static int reserve(struct frcnn_result_columns *c, size_t capacity)
{
	void *image = frcnn_realloc(c->image, capacity, sizeof *c->image), *category, *bbox, *score;

	c->image = image ? image : c->image;
	category = image ? frcnn_realloc(c->category, capacity, sizeof *c->category) : NULL;
	c->category = category ? category : c->category;
	bbox = category ? frcnn_realloc(c->bbox, capacity, 4 * sizeof *c->bbox) : NULL;
	c->bbox = bbox ? bbox : c->bbox;
	score = bbox ? frcnn_realloc(c->score, capacity, sizeof *c->score) : NULL;
	c->score = score ? score : c->score;
	if (!score)
		return FRCNN_ENOMEM;
	c->capacity = capacity;
	return 0;
}

static int append(const struct job *job, struct block *block, const struct element *e)
{
	struct frcnn_result_columns *c = &block->columns;
	size_t image, category;

	if (!frcnn_id_map_find(job->images, e->image, &image) ||
	    !frcnn_id_map_find(job->categories, e->category, &category)) {
		block->plain = false;
		return 0;
	}
	if (c->count == c->capacity && reserve(c, c->capacity ? 2 * c->capacity : job->piece / 80 + 1))
		return FRCNN_ENOMEM;
	c->image[c->count] = (uint32_t)image;
	c->category[c->count] = (uint32_t)category;
	memcpy(c->bbox + c->count * 4, e->bbox, sizeof e->bbox);
	c->score[c->count++] = e->score;
	return 0;
}

/* ---- one block ------------------------------------------------------------------------------- */

static int read_at(int fd, char *out, size_t size, uint64_t offset)
{
	while (size > 0) {
		ssize_t n = pread(fd, out, size, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return FRCNN_EIO; /* also a file that has become shorter */
		out += n;
		size -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

/* The last character before at that is no white space, or NUL. */
static const char *before(const char *at, const char *low)
{
	while (at > low) {
		at--;
		if (*at != ' ' && *at != '\n' && *at != '\r' && *at != '\t')
			return at;
	}
	return NULL;
}

/* The first "{" from at on, below end, that follows "},". */
static const char *find_element(const char *at, const char *end, const char *low)
{
	for (; (at = memchr(at, '{', (size_t)(end - at))) != NULL; at++) {
		const char *comma = before(at, low), *brace = comma && *comma == ',' ? before(comma, low) : NULL;

		if (brace && *brace == '}')
			return at;
	}
	return NULL;
}

static void block_task(void *context, size_t index, int worker)
{
	const struct job *job = context;
	struct block *block = &job->blocks[index];
	uint64_t from = index * job->piece, low = from < BEHIND ? 0 : from - BEHIND;
	uint64_t to = from + job->piece < job->size ? from + job->piece : job->size;
	uint64_t high = to + BEYOND < job->size ? to + BEYOND : job->size;
	char *buffer = job->buffers[worker];
	const char *base = buffer - low, *limit = base + to;
	struct cursor c = {base + from, base + high};
	struct element e;

	block->start = block->next = NOWHERE;
	block->plain = true;
	block->status = read_at(job->fd, buffer, (size_t)(high - low), low);
	if (block->status)
		return;
	if (index == 0) {
		if (job->size >= 3 && !memcmp(c.at, "\xEF\xBB\xBF", 3))
			c.at += 3;
		block->plain = take(&c, '[');
		skip_space(&c);
		if (c.at < c.end && *c.at == ']')
			block->plain = false; /* an empty array is no hurry */
	} else {
		const char *first = find_element(c.at, limit, buffer);

		if (!first)
			return;
		c.at = first;
	}
	block->start = (uint64_t)(c.at - base);
	while (block->plain && !block->status) {
		block->plain = plain_element(&c, &e);
		if (!block->plain)
			break;
		block->status = append(job, block, &e);
		if (take(&c, ']')) {
			skip_space(&c);
			block->closed = c.at == base + job->size;
			block->plain = block->plain && block->closed;
			return;
		}
		block->plain = block->plain && take(&c, ',');
		skip_space(&c);
		if (c.at >= limit) {
			block->next = (uint64_t)(c.at - base);
			return;
		}
	}
}

/* Whether the blocks' elements follow on each other without a gap, and the last one ends the array. */
static bool chained(const struct block *blocks, size_t count, size_t piece)
{
	uint64_t at = blocks[0].start;

	for (size_t i = 0; i < count; i++) {
		if (!blocks[i].plain)
			return false;
		if (blocks[i].start == NOWHERE) {
			if (at == NOWHERE || at < (i + 1) * piece)
				return at == NOWHERE && i > 0;
			continue;
		}
		if (blocks[i].start != at)
			return false;
		at = blocks[i].next;
		if (blocks[i].closed) {
			/* Only white space may be left, which no block takes for an element. */
			for (size_t k = i + 1; k < count; k++)
				if (blocks[k].start != NOWHERE || !blocks[k].plain)
					return false;
			return true;
		}
	}
	return false;
}

/* All columns one after the other, block by block given free. */
static int join(struct block *blocks, size_t count, struct frcnn_result_columns *out)
{
	size_t total = 0, at = 0;

	for (size_t i = 0; i < count; i++)
		total += blocks[i].columns.count;
	if (total > UINT32_MAX)
		return FRCNN_ENOMEM;
	if (reserve(out, total ? total : 1))
		return FRCNN_ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct frcnn_result_columns *c = &blocks[i].columns;

		if (c->count == 0)
			continue;
		memcpy(out->image + at, c->image, c->count * sizeof *c->image);
		memcpy(out->category + at, c->category, c->count * sizeof *c->category);
		memcpy(out->bbox + at * 4, c->bbox, c->count * 4 * sizeof *c->bbox);
		memcpy(out->score + at, c->score, c->count * sizeof *c->score);
		at += c->count;
		frcnn_result_columns_free(c);
	}
	out->count = total;
	return 0;
}

int frcnn_results_read(int fd, uint64_t size, const struct frcnn_id_map *images, const struct frcnn_id_map *categories,
		       struct frcnn_pool *pool, size_t piece, struct frcnn_result_columns *out, struct frcnn_error *err)
{
	size_t count;
	int workers = frcnn_pool_threads(pool), status = 0;
	struct job job = {.fd = fd, .size = size, .images = images, .categories = categories};
	bool plain = size > 0;

	memset(out, 0, sizeof *out);
	job.piece = piece = piece ? piece : BLOCK;
	count = (size_t)((size + piece - 1) / piece);
	if (!plain)
		return 0;
	job.blocks = frcnn_calloc(count, sizeof *job.blocks);
	job.buffers = frcnn_calloc((size_t)workers, sizeof *job.buffers);
	for (int i = 0; job.buffers && i < workers; i++)
		if (!(job.buffers[i] = frcnn_calloc(BEHIND + piece + BEYOND, 1)))
			status = FRCNN_ENOMEM;
	if (!job.blocks || !job.buffers)
		status = FRCNN_ENOMEM;
	if (!status)
		frcnn_pool_run(pool, count, block_task, &job);
	for (int i = 0; job.buffers && i < workers; i++)
		free(job.buffers[i]);
	free(job.buffers);
	for (size_t i = 0; !status && i < count; i++)
		status = job.blocks[i].status;
	plain = !status && chained(job.blocks, count, piece);
	if (plain)
		status = join(job.blocks, count, out);
	for (size_t i = 0; job.blocks && i < count; i++)
		frcnn_result_columns_free(&job.blocks[i].columns);
	free(job.blocks);
	if (status == FRCNN_EIO)
		return 0; /* the reader that comes after says why */
	if (status) {
		frcnn_result_columns_free(out);
		return frcnn_fail_nomem(err);
	}
	return plain;
}
