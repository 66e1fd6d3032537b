package main

import (
	"net/http"
	"slices"

	"github.com/plural-go/plural"
)

// A product is something that the shop sells. A larger shop keeps its products
// in its database.
type product struct {
	ID    string // also the file name of its picture
	Name  string
	About string
	Price plural.Amount
}

var products = []product{
	{
		"lamp",
		"Brass table lamp",
		"Turned and polished by hand in Moradabad. Made to order in two weeks.",
		plural.INR(149950),
	},
	{"bowl", "Blue pottery bowl", "Quartz and glass, glazed in Jaipur. No two are alike.", plural.INR(64900)},
	{"rug", "Cotton durrie", "Flat-woven in Panipat, 120 by 180 cm, reversible.", plural.INR(1250000)},
	{"tea", "First-flush Darjeeling", "100 g, picked in March. Ships the same day.", plural.INR(57525)},
}

func isProduct(id string) bool {
	return slices.ContainsFunc(products, func(p product) bool { return p.ID == id })
}

func (s *shop) catalogue(w http.ResponseWriter, r *http.Request) {
	s.show(w, http.StatusOK, "catalogue.html", view{Title: "Made by hand", InCart: readCart(r).count(), Data: products})
}
