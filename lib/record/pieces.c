/* Pieces of one long array: plain tokens, the pieces themselves, and whether they join. */
#include "record/pieces.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <unistd.h>

#define LENGTH  ((size_t)2 << 20)  /* bytes of a piece, unless the caller says */
#define BEHIND  256                /* read before a piece: what stands before an element */
#define BEYOND  ((size_t)64 << 10) /* read after it: the rest of its last element */
#define NOWHERE UINT64_MAX

/* ---- plain tokens --------------------------------------------------------------------------- */

static void skip_space(struct frcnn_cursor *c)
{
	while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\r' || *c->at == '\t'))
		c->at++;
}

bool frcnn_plain_char(struct frcnn_cursor *c, char wanted)
{
	skip_space(c);
	if (c->at == c->end || *c->at != wanted)
		return false;
	c->at++;
	return true;
}

bool frcnn_plain_string(struct frcnn_cursor *c, struct frcnn_span *out)
{
	if (!frcnn_plain_char(c, '"'))
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

static bool digit(const struct frcnn_cursor *c)
{
	return c->at < c->end && *c->at >= '0' && *c->at <= '9';
}

bool frcnn_plain_number(struct frcnn_cursor *c, double *out)
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

bool frcnn_plain_id(struct frcnn_cursor *c, int64_t *out)
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
	if (digits > 18)
		return false;
	*out = negative ? -(int64_t)value : (int64_t)value;
	return c->at < c->end && *c->at != '.' && *c->at != 'e' && *c->at != 'E';
}

bool frcnn_plain_skip(struct frcnn_cursor *c)
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

bool frcnn_plain_bbox(struct frcnn_cursor *c, double out[4])
{
	bool good = frcnn_plain_char(c, '[');

	for (int i = 0; i < 4 && good; i++)
		good = (i == 0 || frcnn_plain_char(c, ',')) && frcnn_plain_number(c, &out[i]);
	return good && frcnn_plain_char(c, ']') && out[2] >= 0 && out[3] >= 0;
}

/* ---- one piece -------------------------------------------------------------------------------- */

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

/* The last character before at that is no white space; NULL: none from low on. */
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

/* One element into the piece. */
static void take_element(const struct frcnn_pieces *p, struct frcnn_piece *piece, struct frcnn_cursor *c)
{
	void *items = piece->items;

	if (frcnn_grow(&items, &piece->capacity, piece->count + 1, p->item_size))
		piece->status = FRCNN_ENOMEM;
	piece->items = items;
	piece->plain = !piece->status && p->take(p->context, c, (char *)items + piece->count * p->item_size);
	piece->count += piece->plain;
}

static void piece_task(void *context, size_t index, int worker)
{
	const struct frcnn_pieces *p = context;
	struct frcnn_piece *piece = &p->pieces[index];
	uint64_t from = p->first + index * p->length, low = from < BEHIND ? 0 : from - BEHIND;
	uint64_t to = from + p->length < p->size ? from + p->length : p->size;
	uint64_t high = to + BEYOND < p->size ? to + BEYOND : p->size;
	const char *base, *limit, *first;
	struct frcnn_cursor c;

	piece->start = piece->next = NOWHERE;
	piece->plain = true;
	if (p->text) {
		base = p->text;
		high = p->size;
	} else {
		piece->status = read_at(p->fd, p->buffers[worker], (size_t)(high - low), low);
		base = p->buffers[worker] - low;
	}
	if (piece->status)
		return;
	c = (struct frcnn_cursor){base + from, base + high};
	limit = base + to;
	first = index == 0 ? c.at : find_element(c.at, limit, base + low);
	if (!first)
		return;
	c.at = first;
	/* An array without elements is no hurry: not plain. */
	if (index == 0)
		piece->plain = frcnn_plain_char(&c, '[');
	skip_space(&c);
	piece->start = (uint64_t)(c.at - base);
	while (piece->plain) {
		take_element(p, piece, &c);
		if (!piece->plain)
			return;
		if (frcnn_plain_char(&c, ']')) {
			piece->end = (uint64_t)(c.at - base);
			return;
		}
		piece->plain = frcnn_plain_char(&c, ',');
		skip_space(&c);
		if (c.at >= limit) {
			piece->next = (uint64_t)(c.at - base);
			return;
		}
	}
}

/* ---- all of them ------------------------------------------------------------------------------- */

/* Whether the pieces' elements follow on each other without a gap up to the array's end; pieces beyond it are dropped.
 */
static bool chained(struct frcnn_pieces *p)
{
	uint64_t at = p->pieces[0].start;

	for (size_t i = 0; i < p->npieces; i++) {
		struct frcnn_piece *piece = &p->pieces[i];

		if (piece->start == NOWHERE) {
			/* Inside an element that began before: it must end beyond this piece. */
			if (at < p->first + (i + 1) * p->length)
				return false;
			continue;
		}
		if (!piece->plain || piece->start != at)
			return false;
		p->total += piece->count;
		at = piece->next;
		if (piece->end) {
			p->end = piece->end;
			for (size_t k = i + 1; k < p->npieces; k++) {
				free(p->pieces[k].items);
				p->pieces[k].items = NULL;
				p->pieces[k].count = 0;
			}
			return true;
		}
	}
	return false;
}

int frcnn_pieces_read(struct frcnn_pieces *p, struct frcnn_pool *pool)
{
	int workers = frcnn_pool_threads(pool), status = 0;

	p->length = p->length ? p->length : LENGTH;
	p->pieces = NULL;
	p->buffers = NULL;
	p->npieces = (size_t)((p->size - p->first + p->length - 1) / p->length);
	p->total = 0;
	p->end = 0;
	if (p->size <= p->first)
		return 0;
	p->pieces = frcnn_calloc(p->npieces, sizeof *p->pieces);
	p->buffers = frcnn_calloc((size_t)workers, sizeof *p->buffers);
	for (int i = 0; !p->text && p->buffers && i < workers; i++)
		if (!(p->buffers[i] = frcnn_calloc(BEHIND + p->length + BEYOND, 1)))
			status = FRCNN_ENOMEM;
	if (!p->pieces || !p->buffers)
		status = FRCNN_ENOMEM;
	if (!status)
		frcnn_pool_run(pool, p->npieces, piece_task, p);
	for (int i = 0; p->buffers && i < workers; i++)
		free(p->buffers[i]);
	free(p->buffers);
	p->buffers = NULL;
	for (size_t i = 0; !status && i < p->npieces; i++)
		status = p->pieces[i].status;
	if (status)
		return status == FRCNN_EIO ? 0 : status; /* the reader that comes after says why */
	return chained(p);
}

void frcnn_pieces_free(struct frcnn_pieces *p)
{
	for (size_t i = 0; p->pieces && i < p->npieces; i++)
		free(p->pieces[i].items);
	free(p->pieces);
	p->pieces = NULL;
}
