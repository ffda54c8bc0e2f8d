/*
 * Which form a stream of records has, told from its first bytes as they arrive,
 * one byte at a time: the first character, then the keys of the first object at
 * its top level. A first line that is broken does not decide: the next one does.
 */
#include "record/record.h"

enum { START, PASS_LINE, OBJECT };

static enum frcnn_record_form form_of_key(const char *key)
{
	static const struct {
		const char *key;
		enum frcnn_record_form form;
	} keys[] = {
	    {"detections", FRCNN_FORM_JSONL},         {"proposals", FRCNN_FORM_JSONL},
	    {"bbox", FRCNN_FORM_COCO_LINES},          {"score", FRCNN_FORM_COCO_LINES},
	    {"category_id", FRCNN_FORM_COCO_LINES},   {"images", FRCNN_FORM_COCO_DATASET},
	    {"annotations", FRCNN_FORM_COCO_DATASET},
	};
	for (size_t i = 0; i < FRCNN_COUNT(keys); i++)
		if (strcmp(key, keys[i].key) == 0)
			return keys[i].form;
	return FRCNN_FORM_UNKNOWN;
}

static void begin_object(struct frcnn_sniffer *s)
{
	s->state = OBJECT;
	s->depth = 1;
	s->last = '{';
	s->string = s->escape = s->key = s->newline = false;
}

static void in_string(struct frcnn_sniffer *s, char c)
{
	if (c == '\n') { /* no string goes over a line: broken */
		s->state = START;
		s->passed = true;
	} else if (s->escape) {
		s->escape = false;
		s->length = sizeof(s->text); /* none of our keys needs an escape */
	} else if (c == '\\') {
		s->escape = true;
	} else if (c == '"') {
		s->string = false;
		s->last = '"';
	} else if (s->key && s->length < sizeof(s->text)) {
		s->text[s->length++] = c;
	}
}

static void in_object(struct frcnn_sniffer *s, char c)
{
	switch (c) {
	case '\n':
		s->newline = true;
		return;
	case ' ':
	case '\t':
	case '\r':
		return;
	case '"':
		s->string = true;
		s->key = s->depth == 1 && (s->last == '{' || s->last == ',');
		s->length = 0;
		return;
	case ':':
		if (s->depth == 1 && s->key && s->last == '"' && s->length < sizeof(s->text)) {
			s->text[s->length] = '\0';
			s->form = form_of_key(s->text);
			s->several_lines = s->newline && s->form != FRCNN_FORM_COCO_DATASET;
		}
		s->key = false;
		break;
	case '{':
		/* where no object may stand, the one before was torn off */
		if (s->depth == 1 ? s->last != ':' : s->last != ':' && s->last != ',' && s->last != '[') {
			s->passed = true;
			begin_object(s);
			return;
		}
		s->depth++;
		break;
	case '[':
		s->depth++;
		break;
	case ']':
	case '}':
		if (--s->depth == 0) {
			s->state = START;
			s->passed = true;
		}
		break;
	}
	s->last = c;
}

static void sniff_byte(struct frcnn_sniffer *s, char c)
{
	if (s->state == PASS_LINE) {
		if (c == '\n')
			s->state = START;
		return;
	}
	if (s->state == OBJECT) {
		if (s->string)
			in_string(s, c);
		else
			in_object(s, c);
		return;
	}
	if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
		return;
	if (!s->seen && s->offset < 3 && c == "\xEF\xBB\xBF"[s->offset])
		return; /* a BOM */
	s->seen = true;
	if (c == '[' && !s->passed) {
		s->form = FRCNN_FORM_COCO_ARRAY;
	} else if (c == '{') {
		begin_object(s);
	} else {
		s->state = PASS_LINE;
		s->passed = true;
	}
}

bool frcnn_sniff(struct frcnn_sniffer *s, const char *bytes, size_t size)
{
	for (size_t i = 0; i < size && s->form == FRCNN_FORM_UNKNOWN && !s->utf16; i++) {
		unsigned char c = (unsigned char)bytes[i];
		if (s->offset < 2 && (c == 0xFE || c == 0xFF || c == 0))
			s->utf16 = true;
		else
			sniff_byte(s, bytes[i]);
		s->offset++;
	}
	return s->form != FRCNN_FORM_UNKNOWN || s->utf16;
}
