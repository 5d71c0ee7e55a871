/*
 * Text in, values out: UTF-8, JSON, instants, case folding, HMAC, how senders
 * sign, the rules of a message's fields, queries and cursors; and what a value
 * becomes on its way out.  This folder never knows a request, a store or SQL:
 * its functions touch nothing but their arguments, so any thread may call them.
 */


#ifndef _NGX_LYFTR_MESSAGE_H_INCLUDED_
#define _NGX_LYFTR_MESSAGE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_clock.h>
#include <ngx_lyftr_error.h>
#include <ngx_lyftr_hmac.h>
#include <ngx_lyftr_output.h>
#include <ngx_lyftr_scheme.h>
#include <ngx_lyftr_text.h>
#include <ngx_lyftr_whatsapp.h>


#endif /* _NGX_LYFTR_MESSAGE_H_INCLUDED_ */
