import bottle

app = bottle.Bottle()


@app.get("/")
def word():
    return "Python says bottle %s\n" % bottle.__version__
