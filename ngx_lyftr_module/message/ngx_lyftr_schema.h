/*
 * The fields of a message and their rules, apart from how JSON is read.
 */


#ifndef _NGX_LYFTR_SCHEMA_H_INCLUDED_
#define _NGX_LYFTR_SCHEMA_H_INCLUDED_


#include <ngx_lyftr_text.h>


#define NGX_LYFTR_SCHEMA_FIELDS    5


typedef struct {
    ngx_uint_t           present;
    ngx_uint_t           broken;           /* has a lone surrogate */
    ngx_lyftr_input_e    type;
    ngx_str_t            input;
} ngx_lyftr_schema_value_t;


/* the index of the field's value, or NGX_DECLINED if there is no such field */
ngx_int_t ngx_lyftr_schema_field(const u_char *name, size_t len);

/* fills m; NGX_OK, or NGX_DECLINED with all faults */
ngx_int_t ngx_lyftr_schema_validate(ngx_lyftr_schema_value_t *values,
    ngx_lyftr_message_t *m, ngx_lyftr_faults_t *faults);


#endif /* _NGX_LYFTR_SCHEMA_H_INCLUDED_ */
