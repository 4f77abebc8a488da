/*
 * awk: POSIX awk over our regular expressions.
 *   awk_parse.c   program text → Node tree, names resolved to globals or parameters
 *   awk_run.c     evaluation; records, fields, input and output
 *
 * A value's string lives in a temporary arena unless a variable owns it; the arena is cut back
 * after each statement.
 */
#pragma once
#include "../box.h"

typedef struct { double num; const char *str; enum { V_UNSET, V_NUM, V_STR, V_STRNUM } kind; } Value;

typedef struct Element { struct Element *next; char *key; Value value; } Element;
typedef struct { Element **buckets; size_t size, count; } Array;
typedef struct { char *name; Value value; Array *array; int special; } Var;

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
enum { SPECIAL_NF = 1, SPECIAL_NR, SPECIAL_FNR, SPECIAL_FS };

extern Rule *awk_rules;
extern int awk_rule_count;
Var *awk_global(const char *name);
void awk_parse(const char *text);
Regex *awk_compile(const char *text);

double awk_sin(double x);
double awk_cos(double x);
double awk_atan2(double y, double x);
double awk_exp(double x);
double awk_log(double x);
double awk_pow(double x, double y);
