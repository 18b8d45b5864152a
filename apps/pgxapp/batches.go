// The cases that only pgx itself has.

package main

import "context"

var nativeCases = map[string]func(a *app, ctx context.Context) error{
	"batch":         (*app).batchOfThree,
	"batchone":      (*app).batchOfOne,
	"batchempty":    (*app).batchOfNone,
	"copy":          (*app).copyRows,
	"copyschema":    (*app).copyToSchema,
	"copyduplicate": (*app).copyDuplicate,
	"prepared":      (*app).usePrepared,
	"early":         (*app).closeEarly,
	"simple":        (*app).querySimply,
	"nil":           (*app).askNobody,
}

// poolCases may leave a connection that is not good for anything more, with some versions of pgx.
var poolCases = map[string]func(a *app, ctx context.Context) error{
	"batchfails":  (*app).batchFails,
	"batchsyntax": (*app).batchSyntax,
	"batchunread": (*app).batchUnread,
	"nested":      (*app).nestQueries,
}

// askNobody queries after it asked a connection that is nil.
func (a *app) askNobody(ctx context.Context) error {
	a.session.(native).nobody(ctx, selectByID, 7)
	return a.selectOne(ctx)
}

// recovering runs each of these, which may panic.
func recovering(asks ...func()) {
	for _, ask := range asks {
		func() {
			defer func() { _ = recover() }()
			ask()
		}()
	}
}

func (a *app) batchOfThree(ctx context.Context) error {
	texts := []string{insertThing, selectByID, insertThing}
	return a.session.(native).batch(ctx, texts, []interface{}{nextID(), 7, nextID()})
}

func (a *app) batchOfOne(ctx context.Context) error {
	return a.session.(native).batch(ctx, []string{selectByID}, []interface{}{7})
}

func (a *app) batchOfNone(ctx context.Context) error {
	return a.session.(native).batch(ctx, nil, nil)
}

// batchFails fails at its second statement.
func (a *app) batchFails(ctx context.Context) error {
	texts := []string{selectByID, insertThing, selectByID}
	return a.session.(native).batch(ctx, texts, []interface{}{7, 1, 7})
}

// batchSyntax fails before anything is executed.
func (a *app) batchSyntax(ctx context.Context) error {
	texts := []string{selectByID, "SELEC nonsense WHERE $1 = 1"}
	return a.session.(native).batch(ctx, texts, []interface{}{7, 1})
}

// batchUnread fails, and nobody looks at a result before the end.
func (a *app) batchUnread(ctx context.Context) error {
	texts := []string{insertThing, insertThing}
	return a.session.(native).unread(ctx, texts, []interface{}{nextID(), 1})
}

func (a *app) copyRows(ctx context.Context) error {
	rows := [][]interface{}{{nextID(), "secret"}, {nextID(), "secret"}}
	return a.session.(native).copyFrom(ctx, []string{"things"}, rows)
}

func (a *app) copyToSchema(ctx context.Context) error {
	rows := [][]interface{}{{nextID(), "secret"}}
	return a.session.(native).copyFrom(ctx, []string{"public", "things"}, rows)
}

func (a *app) copyDuplicate(ctx context.Context) error {
	return a.session.(native).copyFrom(ctx, []string{"things"}, [][]interface{}{{int64(1), "secret"}})
}

// usePrepared has a named statement, by which it queries and executes.
func (a *app) usePrepared(ctx context.Context) error {
	return a.session.(native).prepared(ctx, "by_id", selectByID, 7)
}

// nestQueries inserts a row on another connection while it reads.
func (a *app) nestQueries(ctx context.Context) error {
	return a.session.(native).nested(ctx, selectByID, 7)
}

// closeEarly reads one row of three, and closes the rows twice.
func (a *app) closeEarly(ctx context.Context) error {
	return a.session.(native).early(ctx, "SELECT id, name FROM things WHERE id < $1", 7)
}

func (a *app) querySimply(ctx context.Context) error {
	return a.session.(native).simple(ctx, selectByID, 7)
}
