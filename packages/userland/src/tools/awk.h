/*
 * awk: POSIX awk over our regular expressions.
 *   awk_parse.c   program text → Node tree, names resolved to globals or parameters
 *   awk_value.c   values, variables, arrays, the arena of temporary strings
 *   awk_io.c      records and fields, files and commands
 *   awk_run.c     evaluation
 *
 * A value's string lives in a temporary arena unless a variable owns it; the arena is cut back
 * after each statement.
 */
#pragma once
#include "../box.h"

typedef struct { double num; const char *str; enum { V_UNSET, V_NUM, V_STR, V_STRNUM } kind; } Value;

typedef struct Element { struct Element *next; char *key; Value value; } Element;
typedef struct { Element **buckets; size_t size, count; } Array;
typedef struct { char *name; Value value; Array *array; } Var;

typedef enum {
  N_NUM, N_STR, N_REGEX, N_VAR, N_LOCAL, N_FIELD, N_INDEX, N_ASSIGN, N_COND, N_OR, N_AND, N_IN, N_MATCH, N_NOMATCH, N_COMPARE, N_CONCAT,
  N_ADD, N_SUB, N_MUL, N_DIV, N_MOD, N_POW, N_NOT, N_NEG, N_PLUS, N_PREINC, N_PREDEC, N_POSTINC, N_POSTDEC, N_CALL, N_BUILTIN, N_GETLINE, N_GROUP,
  N_BLOCK, N_IF, N_WHILE, N_DO, N_FOR, N_FORIN, N_PRINT, N_PRINTF, N_NEXT, N_EXIT, N_RETURN, N_BREAK, N_CONTINUE, N_DELETE, N_EXPR,
} AwkType;

typedef struct AwkNode {
  AwkType type;
  int op;                          /* operator character, builtin number, redirection or getline form */
  double num;
  char *str;
  Var *var;
  int local;
  Regex *re;
  struct Function *function;
  struct AwkNode *a, *b, *c, *d;   /* operands, in reading order */
  struct AwkNode *next;            /* argument and statement lists */
} AwkNode;

typedef struct Function { char *name; int params; char **names; AwkNode *body; bool defined; } Function;
typedef struct { AwkNode *pattern, *end, *body; bool in_range; enum { R_PATTERN, R_BEGIN, R_END } when; } Rule;

typedef enum { B_LENGTH, B_SUBSTR, B_INDEX, B_SPLIT, B_SUB, B_GSUB, B_MATCH, B_SPRINTF, B_SIN, B_COS, B_ATAN2, B_EXP, B_LOG, B_SQRT, B_INT, B_RAND, B_SRAND, B_TOLOWER, B_TOUPPER, B_SYSTEM, B_CLOSE, B_FFLUSH } AwkBuiltin;

extern Rule *awk_rules;
extern int awk_rule_count;
Var *awk_global(const char *name);
void awk_parse(const char *text);
Regex *awk_compile(const char *text);

/* awk_value.c */
typedef struct { struct Chunk *chunk; size_t used; } Mark;
extern Var *nf, *nr, *fnr, *fs, *ofs, *ors, *rs, *filename, *subsep, *rstart, *rlength, *convfmt, *ofmt, *environ_var;
/* Temporary strings; release() cuts the arena back to a mark. */
char *temp(size_t n);
char *temp_copy(const char *s, size_t n);
Mark mark(void);
void release(Mark m);
Value num(double n);
Value str(const char *s);
Value strnum(const char *s); /* input: a number if it looks like one */
const char *number_text(double n, const char *format);
const char *to_str(Value v);
double to_num(Value v);
bool truth(Value v);
void store(Value *to, Value v); /* with a copy of the string */
Element **array_slot(Array *a, const char *name);
Value *array_get(Array *a, const char *name);
void array_remove(Array *a, const char *name);
void array_clear(Array *a);

/* awk_io.c */
typedef struct { char *name; FILE *f; int pid; char mode; } Stream;
enum { AWK_STREAMS = 32 };
extern Stream streams[AWK_STREAMS];
extern char **operands;  /* file names and assignments still to come */
extern int exit_value;
typedef void (*Piece)(void *to, const char *s, size_t n);
Regex *dynamic_regex(const char *text);
/* Cuts text at a separator: " " means blanks, one byte itself, else an expression. */
void cut(const char *s, const char *sep, Piece add, void *to);
void split_record(void);
void set_record(const char *s);
void resize_fields(size_t n);
Value get_field(long i);
void set_field(long i, Value v);
/* mode: '<' 'r' read a file or command; '>' 'a' '|' write. NULL when a file cannot be read. */
Stream *open_stream(const char *name, char mode);
int close_stream(Stream *s);
char *read_record(FILE *f);
bool is_assignment(const char *s);
void assign_operand(const char *s); /* a NAME=VALUE operand */
char *next_record(void); /* of the operands; NULL at the end */

/* awk_math.c */
double awk_sin(double x);
double awk_cos(double x);
double awk_atan2(double y, double x);
double awk_exp(double x);
double awk_log(double x);
double awk_pow(double x, double y);
