/*
 * A pickle machine that executes nothing. It follows the opcodes of protocols 2
 * to 5 (Python's pickletools documents them), knows the few globals that PyTorch's
 * state dicts are made of, and makes an inert placeholder of every other global
 * and of whatever calling it would have made. Memory is bounded by the pickle's
 * size: no opcode adds more than one value or one item.
 */
#include "model/container.h"

#define MAX_VALUES ((size_t)2 << 20)
#define MAX_GLOBAL ((size_t)256) /* bytes of a module's or a name's text */

enum global {
	GLOBAL_ORDERED_DICT,
	GLOBAL_REBUILD_TENSOR,
	GLOBAL_REBUILD_TENSOR_V2,
	GLOBAL_REBUILD_TENSOR_V3,
	GLOBAL_REBUILD_PARAMETER,
	GLOBAL_SIZE,
	GLOBAL_DEVICE,
	GLOBAL_DTYPE,
	GLOBAL_STORAGE
};

static const struct {
	const char *module, *name;
	enum global global;
	enum frcnn_dtype dtype; /* of GLOBAL_DTYPE and GLOBAL_STORAGE */
} globals[] = {
    {"collections", "OrderedDict", GLOBAL_ORDERED_DICT, 0},
    {"torch._utils", "_rebuild_tensor", GLOBAL_REBUILD_TENSOR, 0},
    {"torch._utils", "_rebuild_tensor_v2", GLOBAL_REBUILD_TENSOR_V2, 0},
    {"torch._utils", "_rebuild_tensor_v3", GLOBAL_REBUILD_TENSOR_V3, 0},
    {"torch._utils", "_rebuild_parameter", GLOBAL_REBUILD_PARAMETER, 0},
    {"torch._utils", "_rebuild_parameter_with_state", GLOBAL_REBUILD_PARAMETER, 0},
    {"torch", "Size", GLOBAL_SIZE, 0},
    {"torch", "device", GLOBAL_DEVICE, 0},
    {"torch", "float32", GLOBAL_DTYPE, FRCNN_F32},
    {"torch", "float16", GLOBAL_DTYPE, FRCNN_F16},
    {"torch", "bfloat16", GLOBAL_DTYPE, FRCNN_BF16},
    {"torch", "float64", GLOBAL_DTYPE, FRCNN_F64},
    {"torch", "int64", GLOBAL_DTYPE, FRCNN_I64},
    {"torch", "int32", GLOBAL_DTYPE, FRCNN_I32},
    {"torch", "int16", GLOBAL_DTYPE, FRCNN_I16},
    {"torch", "int8", GLOBAL_DTYPE, FRCNN_I8},
    {"torch", "uint8", GLOBAL_DTYPE, FRCNN_U8},
    {"torch", "bool", GLOBAL_DTYPE, FRCNN_BOOL},
};

/* Names in the modules torch, torch.cuda and torch.storage; an untyped storage counts bytes. */
static const struct {
	const char *name;
	enum frcnn_dtype dtype;
} storages[] = {
    {"FloatStorage", FRCNN_F32},  {"HalfStorage", FRCNN_F16},   {"BFloat16Storage", FRCNN_BF16},
    {"DoubleStorage", FRCNN_F64}, {"LongStorage", FRCNN_I64},   {"IntStorage", FRCNN_I32},
    {"ShortStorage", FRCNN_I16},  {"CharStorage", FRCNN_I8},    {"ByteStorage", FRCNN_U8},
    {"BoolStorage", FRCNN_BOOL},  {"UntypedStorage", FRCNN_U8}, {"_UntypedStorage", FRCNN_U8},
};

struct machine {
	const uint8_t *start, *at, *end;
	struct frcnn_arena *arena;
	struct frcnn_value **stack;
	size_t height, stack_capacity;
	size_t *marks; /* heights of the stack */
	size_t nmarks, marks_capacity;
	struct frcnn_value **memo;
	size_t memo_capacity, memo_next; /* memo_next: where MEMOIZE puts the next one */
	struct frcnn_storage **storages;
	size_t nstorages, storages_capacity;
	size_t nvalues;
	struct frcnn_value *plain, *yes, *no; /* one of each is enough: they carry nothing of their own */
	struct frcnn_error *err;
};

static int damaged(struct machine *m, const char *what)
{
	return frcnn_fail(m->err, FRCNN_EFORMAT, "pickle: %s at byte %zu", what, (size_t)(m->at - m->start));
}

/* ---- values, stack, memo
 * ---------------------------------------------------------------------------------------------- */

static int new_value(struct machine *m, enum frcnn_value_kind kind, struct frcnn_value **out)
{
	if (m->nvalues >= MAX_VALUES)
		return frcnn_fail(m->err, FRCNN_ELIMIT, "pickle: more than %zu values", MAX_VALUES);
	struct frcnn_value *value = frcnn_arena_alloc(m->arena, 1, sizeof(*value));
	if (value == NULL)
		return frcnn_fail_nomem(m->err);
	m->nvalues++;
	value->kind = kind;
	*out = value;
	return 0;
}

static int push(struct machine *m, struct frcnn_value *value)
{
	void *stack = m->stack;
	int status = frcnn_grow(&stack, &m->stack_capacity, m->height + 1, sizeof(*m->stack));

	m->stack = stack;
	if (status < 0)
		return frcnn_fail_nomem(m->err);
	m->stack[m->height++] = value;
	return 0;
}

/* The lowest place of the stack that may be popped: what lies under the last mark is out of reach. */
static size_t stack_floor(const struct machine *m)
{
	return m->nmarks > 0 ? m->marks[m->nmarks - 1] : 0;
}

static int need(struct machine *m, size_t count)
{
	return m->height - stack_floor(m) < count ? damaged(m, "stack underflow") : 0;
}

static int push_mark(struct machine *m)
{
	void *marks = m->marks;
	int status = frcnn_grow(&marks, &m->marks_capacity, m->nmarks + 1, sizeof(*m->marks));

	m->marks = marks;
	if (status < 0)
		return frcnn_fail_nomem(m->err);
	m->marks[m->nmarks++] = m->height;
	return 0;
}

/* Takes the last mark away; the values above it are stack[*base] .. stack[height - 1]. below: values needed under it.
 */
static int pop_mark(struct machine *m, size_t below, size_t *base)
{
	if (m->nmarks == 0)
		return damaged(m, "no mark");
	*base = m->marks[--m->nmarks];
	return *base - stack_floor(m) < below ? damaged(m, "stack underflow") : 0;
}

static int push_new(struct machine *m, enum frcnn_value_kind kind)
{
	struct frcnn_value *value = NULL;
	int status = new_value(m, kind, &value);

	return status < 0 ? status : push(m, value);
}

static int push_int(struct machine *m, int64_t integer)
{
	struct frcnn_value *value = NULL;
	int status = new_value(m, FRCNN_VALUE_INT, &value);

	if (status < 0)
		return status;
	value->integer = integer;
	return push(m, value);
}

static int push_text(struct machine *m, enum frcnn_value_kind kind, const uint8_t *text, size_t size)
{
	struct frcnn_value *value = NULL;
	int status = new_value(m, kind, &value);

	if (status < 0)
		return status;
	value->text = (struct frcnn_span){(const char *)text, size};
	return push(m, value);
}

static int append(struct machine *m, struct frcnn_value *list, struct frcnn_value *item)
{
	if (list->count == list->capacity) {
		size_t capacity = list->capacity == 0 ? 4 : list->capacity * 2;
		struct frcnn_value **items = frcnn_arena_alloc(m->arena, capacity, sizeof(struct frcnn_value *));
		if (items == NULL)
			return frcnn_fail_nomem(m->err);
		if (list->count > 0)
			memcpy(items, list->items, list->count * sizeof(struct frcnn_value *));
		list->items = items;
		list->capacity = capacity;
	}
	list->items[list->count++] = item;
	return 0;
}

/* Pops everything from base up and pushes it as one list, or dict when pairs. */
static int collect(struct machine *m, size_t base, enum frcnn_value_kind kind)
{
	struct frcnn_value *value = NULL;
	int status = new_value(m, kind, &value);

	if (status < 0)
		return status;
	if (kind == FRCNN_VALUE_DICT && (m->height - base) % 2 != 0)
		return damaged(m, "a key without a value");
	for (size_t i = base; i < m->height && status == 0; i++)
		status = append(m, value, m->stack[i]);
	m->height = base;
	return status < 0 ? status : push(m, value);
}

/* Pops everything from base up and adds it to the container under it: pairs to a dict, items to a list. What is added
 * to a placeholder is dropped. */
static int extend(struct machine *m, size_t base, enum frcnn_value_kind kind)
{
	struct frcnn_value *container = m->stack[base - 1];
	int status = 0;

	if (container->kind != kind && container->kind != FRCNN_VALUE_OBJECT)
		return damaged(m, "items for something that takes none");
	if (kind == FRCNN_VALUE_DICT && (m->height - base) % 2 != 0)
		return damaged(m, "a key without a value");
	for (size_t i = base; i < m->height && container->kind == kind && status == 0; i++)
		status = append(m, container, m->stack[i]);
	m->height = base;
	return status;
}

static int memo_put(struct machine *m, size_t index)
{
	int status = need(m, 1);

	if (status < 0)
		return status;
	/* indices count up from 0, one an opcode, so none reaches the pickle's size */
	if (index >= (size_t)(m->end - m->start))
		return damaged(m, "memo index out of range");
	if (index >= m->memo_capacity) {
		size_t capacity = m->memo_capacity < 64 ? 64 : m->memo_capacity;
		while (capacity <= index)
			capacity *= 2;
		struct frcnn_value **memo = frcnn_realloc(m->memo, capacity, sizeof(struct frcnn_value *));
		if (memo == NULL)
			return frcnn_fail_nomem(m->err);
		memset(memo + m->memo_capacity, 0, (capacity - m->memo_capacity) * sizeof(struct frcnn_value *));
		m->memo = memo;
		m->memo_capacity = capacity;
	}
	m->memo[index] = m->stack[m->height - 1];
	if (index >= m->memo_next)
		m->memo_next = index + 1;
	return 0;
}

static int memo_get(struct machine *m, size_t index)
{
	if (index >= m->memo_capacity || m->memo[index] == NULL)
		return damaged(m, "nothing in the memo");
	return push(m, m->memo[index]);
}

/* ---- globals and calls
 * ------------------------------------------------------------------------------------------------ */

static int push_global(struct machine *m, struct frcnn_span module, struct frcnn_span name)
{
	struct frcnn_value *value = NULL;
	int status = new_value(m, FRCNN_VALUE_KNOWN, &value);

	if (status < 0)
		return status;
	if (module.size > MAX_GLOBAL || name.size > MAX_GLOBAL)
		return damaged(m, "a global's name is too long");
	for (size_t i = 0; i < FRCNN_COUNT(globals); i++) {
		if (frcnn_span_is(module, globals[i].module) && frcnn_span_is(name, globals[i].name)) {
			value->global = globals[i].global;
			value->dtype = globals[i].dtype;
			return push(m, value);
		}
	}
	if (frcnn_span_is(module, "torch") || frcnn_span_is(module, "torch.cuda") ||
	    frcnn_span_is(module, "torch.storage")) {
		for (size_t i = 0; i < FRCNN_COUNT(storages); i++) {
			if (frcnn_span_is(name, storages[i].name)) {
				value->global = GLOBAL_STORAGE;
				value->dtype = storages[i].dtype;
				return push(m, value);
			}
		}
	}
	char *full = frcnn_arena_alloc(m->arena, module.size + name.size + 2, 1);
	if (full == NULL)
		return frcnn_fail_nomem(m->err);
	if (module.size > 0)
		memcpy(full, module.data, module.size);
	full[module.size] = '.';
	if (name.size > 0)
		memcpy(full + module.size + 1, name.data, name.size);
	value->kind = FRCNN_VALUE_OBJECT;
	value->text = (struct frcnn_span){full, module.size + name.size + 1};
	return push(m, value);
}

/* Pushes a placeholder for what could not be made without running code. */
static int push_object(struct machine *m, struct frcnn_span name)
{
	return push_text(m, FRCNN_VALUE_OBJECT, (const uint8_t *)name.data, name.size);
}

static struct frcnn_span named(const char *name)
{
	return (struct frcnn_span){name, strlen(name)};
}

static bool is_int_list(const struct frcnn_value *value)
{
	if (value->kind != FRCNN_VALUE_LIST)
		return false;
	for (size_t i = 0; i < value->count; i++) {
		if (value->items[i]->kind != FRCNN_VALUE_INT)
			return false;
	}
	return true;
}

static int rebuild_tensor(struct machine *m, enum global global, const struct frcnn_value *args)
{
	size_t least = global == GLOBAL_REBUILD_TENSOR ? 4 : global == GLOBAL_REBUILD_TENSOR_V2 ? 6 : 7;
	size_t metadata = global == GLOBAL_REBUILD_TENSOR_V3 ? 7 : 6; /* its place among the arguments */
	struct frcnn_value *value = NULL;

	if (args->count < least)
		return damaged(m, "a tensor with too few arguments");
	if (args->items[0]->kind == FRCNN_VALUE_OBJECT) /* a storage of a type that we do not read */
		return push_object(m, args->items[0]->text);
	if (args->items[0]->kind != FRCNN_VALUE_STORAGE || args->items[1]->kind != FRCNN_VALUE_INT ||
	    !is_int_list(args->items[2]) || !is_int_list(args->items[3]))
		return damaged(m, "a tensor with malformed arguments");
	/* metadata marks conjugate and negated views: their values are not those stored */
	if (args->count > metadata && args->items[metadata]->kind == FRCNN_VALUE_DICT &&
	    args->items[metadata]->count > 0)
		return push_object(m, named("torch._utils._rebuild_tensor_v2 with metadata"));
	enum frcnn_dtype dtype = args->items[0]->storage->dtype;
	if (global == GLOBAL_REBUILD_TENSOR_V3) {
		const struct frcnn_value *type = args->items[6];
		if (type->kind == FRCNN_VALUE_OBJECT)
			return push_object(m, type->text);
		if (type->kind != FRCNN_VALUE_KNOWN || type->global != GLOBAL_DTYPE)
			return damaged(m, "a tensor with malformed arguments");
		dtype = type->dtype;
	}
	int status = new_value(m, FRCNN_VALUE_TENSOR, &value);
	if (status < 0)
		return status;
	struct frcnn_torch_tensor *tensor = frcnn_arena_alloc(m->arena, 1, sizeof(*tensor));
	if (tensor == NULL)
		return frcnn_fail_nomem(m->err);
	*tensor = (struct frcnn_torch_tensor){
	    .storage = args->items[0]->storage,
	    .dtype = dtype,
	    .offset = args->items[1]->integer,
	    .size = args->items[2],
	    .stride = args->items[3],
	};
	value->tensor = tensor;
	return push(m, value);
}

/* OrderedDict() or OrderedDict([[key, value], ...]). */
static int make_dict(struct machine *m, const struct frcnn_value *args)
{
	struct frcnn_value *dict = NULL;
	int status = new_value(m, FRCNN_VALUE_DICT, &dict);

	if (status < 0)
		return status;
	if (args->count > 0) {
		const struct frcnn_value *pairs = args->items[0];
		if (pairs->kind != FRCNN_VALUE_LIST)
			return damaged(m, "an OrderedDict with malformed arguments");
		for (size_t i = 0; i < pairs->count && status == 0; i++) {
			const struct frcnn_value *pair = pairs->items[i];
			if (pair->kind != FRCNN_VALUE_LIST || pair->count != 2)
				return damaged(m, "an OrderedDict with malformed arguments");
			status = append(m, dict, pair->items[0]);
			if (status == 0)
				status = append(m, dict, pair->items[1]);
		}
	}
	return status < 0 ? status : push(m, dict);
}

/* Stands for callable(*args) in REDUCE, NEWOBJ, OBJ, INST: makes what we know, a placeholder of everything else. */
static int call(struct machine *m, const struct frcnn_value *callable, const struct frcnn_value *args)
{
	if (callable->kind == FRCNN_VALUE_OBJECT)
		return push_object(m, callable->text);
	if (callable->kind != FRCNN_VALUE_KNOWN || args->kind != FRCNN_VALUE_LIST)
		return damaged(m, "a call of something that is no function");
	switch ((enum global)callable->global) {
	case GLOBAL_ORDERED_DICT:
		return make_dict(m, args);
	case GLOBAL_REBUILD_TENSOR:
	case GLOBAL_REBUILD_TENSOR_V2:
	case GLOBAL_REBUILD_TENSOR_V3:
		return rebuild_tensor(m, callable->global, args);
	case GLOBAL_REBUILD_PARAMETER:
		if (args->count == 0)
			return damaged(m, "a parameter without a tensor");
		return push(m, args->items[0]);
	case GLOBAL_SIZE:
		if (args->count == 0 || !is_int_list(args->items[0]))
			return damaged(m, "a malformed torch.Size");
		return push(m, args->items[0]);
	case GLOBAL_DEVICE:
		return push(m, m->plain);
	case GLOBAL_DTYPE:
	case GLOBAL_STORAGE:
		break;
	}
	return push_object(m, named("torch.storage"));
}

/* The top of the stack: a callable and its arguments' tuple (with extra: keyword arguments above, not looked at). */
static int reduce(struct machine *m, bool extra)
{
	int status = need(m, extra ? 3 : 2);

	if (status < 0)
		return status;
	m->height -= extra ? 3 : 2;
	return call(m, m->stack[m->height], m->stack[m->height + 1]);
}

/* Protocol 1's instances: MARK, callable (OBJ) or none (INST, callable given), arguments. */
static int instance(struct machine *m, const struct frcnn_value *callable)
{
	size_t base = 0;
	int status = pop_mark(m, 0, &base);

	if (status < 0)
		return status;
	if (callable == NULL) {
		if (base == m->height)
			return damaged(m, "stack underflow");
		callable = m->stack[base];
	}
	m->height = base;
	if (callable->kind != FRCNN_VALUE_OBJECT)
		return damaged(m, "an old-style instance");
	return push_object(m, callable->text);
}

/* BUILD: an object's state. Kept for a dict (a state dict's _metadata), to be looked at for placeholders. */
static int build(struct machine *m)
{
	int status = need(m, 2);

	if (status < 0)
		return status;
	struct frcnn_value *state = m->stack[--m->height], *object = m->stack[m->height - 1];
	if (object->kind == FRCNN_VALUE_DICT)
		object->state = state;
	return 0;
}

/* A persistent id: ('storage', type, key, location, numel) and in legacy files view metadata,
 * None or (view key, offset, numel). */
static int persistent(struct machine *m)
{
	int status = need(m, 1);

	if (status < 0)
		return status;
	const struct frcnn_value *id = m->stack[--m->height];
	if (id->kind != FRCNN_VALUE_LIST || id->count < 2 || id->items[0]->kind != FRCNN_VALUE_TEXT)
		return damaged(m, "a malformed persistent id");
	if (frcnn_value_is_text(id->items[0], "module")) /* a class with its source text: never run */
		return push_object(m, named("torch.nn.Module with source"));
	if (!frcnn_value_is_text(id->items[0], "storage") || id->count < 5 || id->count > 6 ||
	    id->items[2]->kind != FRCNN_VALUE_TEXT || id->items[4]->kind != FRCNN_VALUE_INT ||
	    id->items[4]->integer < 0)
		return damaged(m, "a malformed persistent id");
	const struct frcnn_value *type = id->items[1];
	if (type->kind == FRCNN_VALUE_OBJECT)
		return push_object(m, type->text);
	if (type->kind != FRCNN_VALUE_KNOWN || type->global != GLOBAL_STORAGE)
		return damaged(m, "a malformed persistent id");
	struct frcnn_value *value = NULL;
	status = new_value(m, FRCNN_VALUE_STORAGE, &value);
	if (status < 0)
		return status;
	struct frcnn_storage *storage = frcnn_arena_alloc(m->arena, 1, sizeof(*storage));
	if (storage == NULL)
		return frcnn_fail_nomem(m->err);
	storage->key = id->items[2]->text;
	storage->dtype = type->dtype;
	storage->numel = id->items[4]->integer;
	storage->view_numel = -1;
	if (id->count == 6 && id->items[5]->kind == FRCNN_VALUE_LIST) {
		const struct frcnn_value *view = id->items[5];
		if (view->count != 3 || view->items[1]->kind != FRCNN_VALUE_INT || view->items[1]->integer < 0 ||
		    view->items[2]->kind != FRCNN_VALUE_INT || view->items[2]->integer < 0)
			return damaged(m, "a malformed persistent id");
		storage->view_offset = view->items[1]->integer;
		storage->view_numel = view->items[2]->integer;
	}
	void *list = m->storages;
	status = frcnn_grow(&list, &m->storages_capacity, m->nstorages + 1, sizeof(struct frcnn_storage *));
	m->storages = list;
	if (status < 0)
		return frcnn_fail_nomem(m->err);
	m->storages[m->nstorages++] = storage;
	value->storage = storage;
	return push(m, value);
}

/* ---- opcodes
 * ------------------------------------------------------------------------------------------------------------ */

/* The next size bytes, or NULL past the end. */
static const uint8_t *take(struct machine *m, uint64_t size)
{
	const uint8_t *bytes = m->at;

	if (size > (uint64_t)(m->end - m->at))
		return NULL;
	m->at += size;
	return bytes;
}

/* An unsigned little-endian number of size bytes. */
static bool take_number(struct machine *m, size_t size, uint64_t *out)
{
	const uint8_t *bytes = take(m, size);

	*out = 0;
	for (size_t i = 0; bytes != NULL && i < size; i++)
		*out |= (uint64_t)bytes[i] << (8 * i);
	return bytes != NULL;
}

/* The text up to the next newline, which is passed over. */
static bool take_line(struct machine *m, struct frcnn_span *out)
{
	const uint8_t *newline = memchr(m->at, '\n', (size_t)(m->end - m->at));

	if (newline == NULL)
		return false;
	*out = (struct frcnn_span){(const char *)m->at, (size_t)(newline - m->at)};
	m->at = newline + 1;
	return true;
}

static int ends_early(struct machine *m)
{
	return damaged(m, "ends early");
}

/* A length of width bytes, then that many bytes. */
static int op_text(struct machine *m, size_t width, enum frcnn_value_kind kind)
{
	uint64_t size;

	if (!take_number(m, width, &size))
		return ends_early(m);
	const uint8_t *text = take(m, size);
	return text == NULL ? ends_early(m) : push_text(m, kind, text, (size_t)size);
}

/* A two's complement integer of any length; one that does not fit 64 bits stays bytes. */
static int op_long(struct machine *m, size_t width)
{
	uint64_t size, bits = 0;

	if (!take_number(m, width, &size))
		return ends_early(m);
	const uint8_t *bytes = take(m, size);
	if (bytes == NULL)
		return ends_early(m);
	if (size > 8)
		return push_text(m, FRCNN_VALUE_BYTES, bytes, (size_t)size);
	if (size > 0 && bytes[size - 1] & 0x80)
		bits = UINT64_MAX;
	for (size_t i = size; i-- > 0;)
		bits = bits << 8 | bytes[i];
	return push_int(m, (int64_t)bits);
}

static int op_number(struct machine *m, size_t width)
{
	uint64_t number;

	if (!take_number(m, width, &number))
		return ends_early(m);
	return push_int(m, width == 4 ? (int32_t)(uint32_t)number : (int64_t)number);
}

static int op_memo(struct machine *m, size_t width, int (*act)(struct machine *, size_t))
{
	uint64_t index;

	return take_number(m, width, &index) ? act(m, (size_t)index) : ends_early(m);
}

static int op_skip(struct machine *m, size_t size)
{
	return take(m, size) == NULL ? ends_early(m) : 0;
}

static int op_global(struct machine *m)
{
	struct frcnn_span module, name;

	if (!take_line(m, &module) || !take_line(m, &name))
		return ends_early(m);
	return push_global(m, module, name);
}

static int op_stack_global(struct machine *m)
{
	int status = need(m, 2);

	if (status < 0)
		return status;
	m->height -= 2;
	const struct frcnn_value *module = m->stack[m->height], *name = m->stack[m->height + 1];
	if (module->kind != FRCNN_VALUE_TEXT || name->kind != FRCNN_VALUE_TEXT)
		return damaged(m, "a global without a name");
	return push_global(m, module->text, name->text);
}

static int op_instance(struct machine *m)
{
	int status = op_global(m);

	if (status < 0)
		return status;
	return instance(m, m->stack[--m->height]);
}

static int op_tuple(struct machine *m, size_t count)
{
	int status = need(m, count);

	return status < 0 ? status : collect(m, m->height - count, FRCNN_VALUE_LIST);
}

static int op_collect(struct machine *m, enum frcnn_value_kind kind)
{
	size_t base = 0;
	int status = pop_mark(m, 0, &base);

	return status < 0 ? status : collect(m, base, kind);
}

static int op_extend(struct machine *m, enum frcnn_value_kind kind)
{
	size_t base = 0;
	int status = pop_mark(m, 1, &base);

	return status < 0 ? status : extend(m, base, kind);
}

/* APPEND and SETITEM: one item or pair, without a mark. */
static int op_add(struct machine *m, enum frcnn_value_kind kind)
{
	size_t count = kind == FRCNN_VALUE_DICT ? 2 : 1;
	int status = need(m, count + 1);

	return status < 0 ? status : extend(m, m->height - count, kind);
}

static int op_pop(struct machine *m)
{
	if (m->nmarks > 0 && m->marks[m->nmarks - 1] == m->height) {
		m->nmarks--;
		return 0;
	}
	int status = need(m, 1);
	if (status == 0)
		m->height--;
	return status;
}

static int op_pop_mark(struct machine *m)
{
	size_t base = 0;
	int status = pop_mark(m, 0, &base);

	if (status == 0)
		m->height = base;
	return status;
}

static int op_dup(struct machine *m)
{
	int status = need(m, 1);

	return status < 0 ? status : push(m, m->stack[m->height - 1]);
}

/* One opcode other than STOP. */
static int step(struct machine *m, uint8_t opcode)
{
	switch (opcode) {
	case 0x80: /* PROTO */
		if (m->at < m->end && (*m->at < 2 || *m->at > 5))
			return frcnn_fail(m->err, FRCNN_EUNSUPPORTED, "pickle: protocol %d is not supported", *m->at);
		return op_skip(m, 1);
	case 0x95: /* FRAME: a hint for readers of streams */
		return op_skip(m, 8);
	case '(': /* MARK */
		return push_mark(m);
	case '0': /* POP */
		return op_pop(m);
	case '1': /* POP_MARK */
		return op_pop_mark(m);
	case '2': /* DUP */
		return op_dup(m);
	case 'N': /* NONE */
		return push(m, m->plain);
	case 0x88: /* NEWTRUE */
		return push(m, m->yes);
	case 0x89: /* NEWFALSE */
		return push(m, m->no);
	case 'K': /* BININT1 */
		return op_number(m, 1);
	case 'M': /* BININT2 */
		return op_number(m, 2);
	case 'J': /* BININT */
		return op_number(m, 4);
	case 0x8a: /* LONG1 */
		return op_long(m, 1);
	case 0x8b: /* LONG4 */
		return op_long(m, 4);
	case 'G': { /* BINFLOAT: no number of a checkpoint that is not in a tensor is used */
		int status = op_skip(m, 8);
		return status < 0 ? status : push(m, m->plain);
	}
	case 'X': /* BINUNICODE */
		return op_text(m, 4, FRCNN_VALUE_TEXT);
	case 0x8c: /* SHORT_BINUNICODE */
		return op_text(m, 1, FRCNN_VALUE_TEXT);
	case 0x8d: /* BINUNICODE8 */
		return op_text(m, 8, FRCNN_VALUE_TEXT);
	case 'U': /* SHORT_BINSTRING: Python 2's text */
		return op_text(m, 1, FRCNN_VALUE_TEXT);
	case 'T': /* BINSTRING */
		return op_text(m, 4, FRCNN_VALUE_TEXT);
	case 'C': /* SHORT_BINBYTES */
		return op_text(m, 1, FRCNN_VALUE_BYTES);
	case 'B': /* BINBYTES */
		return op_text(m, 4, FRCNN_VALUE_BYTES);
	case 0x8e: /* BINBYTES8 */
	case 0x96: /* BYTEARRAY8 */
		return op_text(m, 8, FRCNN_VALUE_BYTES);
	case ']':  /* EMPTY_LIST */
	case ')':  /* EMPTY_TUPLE */
	case 0x8f: /* EMPTY_SET */
		return push_new(m, FRCNN_VALUE_LIST);
	case '}': /* EMPTY_DICT */
		return push_new(m, FRCNN_VALUE_DICT);
	case 'l':  /* LIST */
	case 't':  /* TUPLE */
	case 0x91: /* FROZENSET */
		return op_collect(m, FRCNN_VALUE_LIST);
	case 'd': /* DICT */
		return op_collect(m, FRCNN_VALUE_DICT);
	case 0x85: /* TUPLE1 */
		return op_tuple(m, 1);
	case 0x86: /* TUPLE2 */
		return op_tuple(m, 2);
	case 0x87: /* TUPLE3 */
		return op_tuple(m, 3);
	case 'a': /* APPEND */
		return op_add(m, FRCNN_VALUE_LIST);
	case 's': /* SETITEM */
		return op_add(m, FRCNN_VALUE_DICT);
	case 'e':  /* APPENDS */
	case 0x90: /* ADDITEMS */
		return op_extend(m, FRCNN_VALUE_LIST);
	case 'u': /* SETITEMS */
		return op_extend(m, FRCNN_VALUE_DICT);
	case 'h': /* BINGET */
		return op_memo(m, 1, memo_get);
	case 'j': /* LONG_BINGET */
		return op_memo(m, 4, memo_get);
	case 'q': /* BINPUT */
		return op_memo(m, 1, memo_put);
	case 'r': /* LONG_BINPUT */
		return op_memo(m, 4, memo_put);
	case 0x94: /* MEMOIZE */
		return memo_put(m, m->memo_next);
	case 'c': /* GLOBAL */
		return op_global(m);
	case 0x93: /* STACK_GLOBAL */
		return op_stack_global(m);
	case 'R':  /* REDUCE */
	case 0x81: /* NEWOBJ */
		return reduce(m, false);
	case 0x92: /* NEWOBJ_EX */
		return reduce(m, true);
	case 'o': /* OBJ */
		return instance(m, NULL);
	case 'i': /* INST */
		return op_instance(m);
	case 'b': /* BUILD */
		return build(m);
	case 'Q': /* BINPERSID */
		return persistent(m);
	default:
		m->at--;
		return frcnn_fail(m->err, FRCNN_EUNSUPPORTED, "pickle: opcode 0x%02x at byte %zu is not supported",
				  opcode, (size_t)(m->at - m->start));
	}
}

int frcnn_pickle_load(const uint8_t *bytes, size_t size, struct frcnn_arena *arena, struct frcnn_pickle *out,
		      struct frcnn_error *err)
{
	struct machine m = {.start = bytes, .at = bytes, .end = bytes + size, .arena = arena, .err = err};
	bool capped = size > FRCNN_MAX_PICKLE;
	int status = 0;

	*out = (struct frcnn_pickle){0};
	if (capped)
		m.end = bytes + FRCNN_MAX_PICKLE;
	struct frcnn_value *shared = frcnn_arena_alloc(arena, 3, sizeof(*shared));
	if (shared == NULL)
		return frcnn_fail_nomem(err);
	m.plain = &shared[0];
	m.yes = &shared[1];
	m.no = &shared[2];
	m.plain->kind = FRCNN_VALUE_PLAIN;
	m.yes->kind = m.no->kind = FRCNN_VALUE_BOOL;
	m.yes->integer = 1;
	for (;;) {
		if (m.at == m.end) {
			status = capped
				     ? frcnn_fail(err, FRCNN_ELIMIT, "pickle: longer than %zu bytes", FRCNN_MAX_PICKLE)
				     : ends_early(&m);
			break;
		}
		uint8_t opcode = *m.at++;
		if (opcode == '.') { /* STOP */
			if (m.nmarks != 0 || m.height != 1)
				status = damaged(&m, "stops with a stack that is not one value");
			break;
		}
		status = step(&m, opcode);
		if (status < 0)
			break;
	}
	if (status == 0) {
		out->root = m.stack[0];
		out->used = (size_t)(m.at - bytes);
		out->nstorages = m.nstorages;
		out->storages = frcnn_arena_alloc(arena, m.nstorages, sizeof(struct frcnn_storage *));
		if (out->storages == NULL)
			status = frcnn_fail_nomem(err);
		else if (m.nstorages > 0)
			memcpy(out->storages, m.storages, m.nstorages * sizeof(struct frcnn_storage *));
	}
	free(m.stack);
	free(m.marks);
	free(m.memo);
	free(m.storages);
	return status;
}

/* ---- values
 * ---------------------------------------------------------------------------------------------------------------- */

bool frcnn_value_is_text(const struct frcnn_value *value, const char *text)
{
	return value->kind == FRCNN_VALUE_TEXT && frcnn_span_is(value->text, text);
}

struct frcnn_value *frcnn_value_get(const struct frcnn_value *dict, const char *key, size_t size)
{
	struct frcnn_value *found = NULL;

	for (size_t i = 0; i + 1 < dict->count; i += 2) {
		const struct frcnn_value *at = dict->items[i];
		if (at->kind == FRCNN_VALUE_TEXT && at->text.size == size &&
		    (size == 0 || memcmp(at->text.data, key, size) == 0))
			found = dict->items[i + 1];
	}
	return found;
}
